// A token that expires in the middle of the work leads back to the login, and that to the tasks.

import assert from "node:assert/strict";
import { Person } from "../person.mjs";

export default async function play(newPage, { ORIGIN, API }) {
  const ada = new Person(await newPage(), ORIGIN);
  const tokensHold = async (seconds) => {
    const answer = await ada.page.request.post(`${ORIGIN}/api/auth/update-user`, {
      headers: { Origin: ORIGIN },
      data: { tokenLifetime: seconds },
    });
    assert.ok(answer.ok(), await answer.text());
  };
  await ada.signUp();
  await ada.add("Buy milk");
  await ada.sees("Buy milk");

  await tokensHold(2);
  assert.equal(await firstRefusal(ada.page, `${API}/api/tasks`), "token_expired");
  await ada.reads("Your session has expired. Please sign in again.");
  await ada.isAskedToSignIn();

  await tokensHold(900);
  await ada.enter("Sign in");
  await ada.sees("Buy milk");
}

// Asks for the tasks again and again until that is refused, and gives the refusal's code.
async function firstRefusal(page, url) {
  let ask = () => page.reload();
  for (;;) {
    const answered = page.waitForResponse(
      (answer) => answer.url() === url && answer.request().method() === "GET",
    );
    await ask();
    const answer = await answered;
    if (answer.status() === 401) return (await answer.json()).code;
    ask = () => page.getByRole("button", { name: "Refresh" }).click();
  }
}
