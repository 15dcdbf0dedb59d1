// When a token expires, the page shows the login; after it the tasks are there again.

import assert from "node:assert/strict";
import { User } from "../user.mjs";

export default async function play(newPage, { ORIGIN, API }) {
  const ada = new User(await newPage(), ORIGIN);
  const setTokenLifetime = async (seconds) => {
    const answer = await ada.page.request.post(`${ORIGIN}/api/auth/update-user`, {
      headers: { Origin: ORIGIN },
      data: { tokenLifetime: seconds },
    });
    assert.ok(answer.ok(), await answer.text());
  };
  await ada.signUp();
  await ada.add("Buy milk");
  await ada.sees("Buy milk");

  await setTokenLifetime(2);
  assert.equal(await firstRefusal(ada.page, `${API}/api/tasks`), "token_expired");
  await ada.reads("Your session has expired. Please sign in again.");
  await ada.isAskedToSignIn();

  await setTokenLifetime(900);
  await ada.enter("Sign in");
  await ada.sees("Buy milk");
}

// Requests the tasks until one request is refused, and returns the code of that answer.
async function firstRefusal(page, url) {
  let reload = () => page.reload();
  for (;;) {
    const answered = page.waitForResponse(
      (answer) => answer.url() === url && answer.request().method() === "GET",
    );
    await reload();
    const answer = await answered;
    if (answer.status() === 401) return (await answer.json()).code;
    reload = () => page.getByRole("button", { name: "Refresh" }).click();
  }
}
