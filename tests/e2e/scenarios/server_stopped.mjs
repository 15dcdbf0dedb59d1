// Without the server the page shows a readable message and keeps the typed text.

import assert from "node:assert/strict";
import { User } from "../user.mjs";

export default async function play(newPage, { ORIGIN, API_PID }) {
  const ada = new User(await newPage(), ORIGIN);
  await ada.signUp();
  await ada.add("Buy milk");
  await ada.sees("Buy milk");

  process.kill(Number(API_PID), "SIGKILL");
  await ada.add("Buy bread");
  await ada.reads("The tasks cannot be reached right now. Please try again in a moment.");
  await ada.sees("Buy milk");
  assert.equal(await ada.page.getByLabel("New task").inputValue(), "Buy bread");
}
