// Add, edit, complete and delete; each change is still there after a reload.

import { User } from "../user.mjs";

export default async function play(newPage, { ORIGIN }) {
  const ada = new User(await newPage(), ORIGIN);
  const seesAlsoAfterReload = async (...titles) => {
    await ada.sees(...titles);
    await ada.page.reload();
    await ada.sees(...titles);
  };
  await ada.signUp();

  await ada.add("Buy milk");
  await ada.sees("Buy milk");
  await ada.add("Write <b>home</b>");
  await seesAlsoAfterReload("Write <b>home</b>", "Buy milk");

  await ada.of("Buy milk").getByRole("button", { name: "Edit" }).click();
  await ada.page.getByLabel("Title").fill("Buy oat milk");
  await ada.press("Save");
  await seesAlsoAfterReload("Write <b>home</b>", "Buy oat milk");

  await ada.of("Buy oat milk").getByRole("checkbox").click();
  await seesAlsoAfterReload("Write <b>home</b>", "Buy oat milk *");
  await ada.of("Buy oat milk").getByRole("checkbox").click();
  await seesAlsoAfterReload("Write <b>home</b>", "Buy oat milk");

  await ada.of("Write <b>home</b>").getByRole("button", { name: "Delete" }).click();
  await seesAlsoAfterReload("Buy oat milk");
}
