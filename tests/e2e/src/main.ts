// The page: a login form or a list of tasks, and one element for messages.

import { add, complete, forget, list, Refused, remove, rename, SignedOut, type Task } from "./api";
import { enter, leave } from "./auth";

const message = document.querySelector<HTMLElement>("#message")!;
const login = document.querySelector<HTMLFormElement>("#login")!;
const work = document.querySelector<HTMLElement>("#work")!;
const form = document.querySelector<HTMLFormElement>("#add")!;
const tasks = document.querySelector<HTMLElement>("#tasks")!;

function show(part: HTMLElement): void {
  login.hidden = part !== login;
  work.hidden = part !== work;
}

// Runs the action, shows the new list, and shows a message if something failed.
async function then(action?: () => Promise<unknown>): Promise<boolean> {
  try {
    await action?.();
    tasks.replaceChildren(...(await list()).map(row));
    message.textContent = "";
    show(work);
    return true;
  } catch (error) {
    if (error instanceof SignedOut) {
      forget();
      tasks.replaceChildren();
      message.textContent = error.message && "Your session has expired. Please sign in again.";
      show(login);
    } else if (error instanceof Refused) {
      message.textContent = error.message;
    } else {
      throw error;
    }
    return false;
  }
}

function row(task: Task): HTMLElement {
  const done = Object.assign(document.createElement("input"), {
    type: "checkbox",
    checked: task.completed,
    ariaLabel: `Done: ${task.title}`,
    onchange: () => then(() => complete(task, done.checked)),
  });
  const title = Object.assign(document.createElement("span"), { textContent: task.title });
  const item = document.createElement("li");
  item.append(
    done,
    title,
    button("Edit", () => item.replaceChildren(...editor(task))),
    button("Delete", () => then(() => remove(task))),
  );
  return item;
}

function editor(task: Task): HTMLElement[] {
  const title = Object.assign(document.createElement("input"), {
    value: task.title,
    ariaLabel: "Title",
  });
  return [title, button("Save", () => then(() => rename(task, title.value)))];
}

function button(label: string, onclick: () => unknown): HTMLElement {
  return Object.assign(document.createElement("button"), { textContent: label, onclick });
}

login.onsubmit = async (event) => {
  event.preventDefault();
  const fields = new FormData(login, event.submitter);
  const [how, email, password] = ["how", "email", "password"].map((name) => `${fields.get(name)}`);
  const failure = await enter(how!, email!, password!);
  if (failure) message.textContent = failure;
  else if (await then()) login.reset();
};

form.onsubmit = async (event) => {
  event.preventDefault();
  if (await then(() => add(`${new FormData(form).get("title")}`))) form.reset();
};

document.querySelector<HTMLElement>("#refresh")!.onclick = () => then();
document.querySelector<HTMLElement>("#leave")!.onclick = () => {
  forget();
  return then(leave);
};

await then();
