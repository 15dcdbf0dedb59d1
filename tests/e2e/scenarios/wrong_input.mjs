// The page shows a message for a wrong input, and keeps the typed text.

import { User } from "../user.mjs";

export default async function play(newPage, { ORIGIN }) {
  const ada = new User(await newPage(), ORIGIN);
  await ada.signUp();
  await ada.add("x".repeat(501));
  await ada.reads("500");
  await ada.sees();
  await ada.page.getByLabel("New task").press("End");
  await ada.page.getByLabel("New task").press("Backspace");
  await ada.press("Add");
  await ada.sees("x".repeat(500));

  await ada.press("Sign out");
  await ada.isAskedToSignIn();
  await ada.enter("Sign in", "not the password");
  await ada.reads("Invalid email or password");
  await ada.isAskedToSignIn();
}
