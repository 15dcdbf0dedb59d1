// A second user sees no task of the first: in another browser context, and in the same one later.

import assert from "node:assert/strict";
import { User } from "../user.mjs";

export default async function play(newPage, { ORIGIN }) {
  const ada = new User(await newPage(), ORIGIN);
  await ada.signUp();
  await ada.add("A secret");
  await ada.sees("A secret");

  const bob = new User(await newPage(), ORIGIN);
  await bob.signUp();
  await bob.add("Of Bob's");
  await bob.sees("Of Bob's");

  await ada.press("Sign out");
  await ada.isAskedToSignIn();
  assert.ok(!(await ada.page.content()).includes("A secret"));
  const eve = new User(ada.page, ORIGIN);
  await eve.signUp();
  await eve.press("Sign out");
  await eve.isAskedToSignIn();

  await ada.enter("Sign in");
  await ada.sees("A secret");
}
