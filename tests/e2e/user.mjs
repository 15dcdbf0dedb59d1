// The actions of a user on the page, and waits for what the page shows.

export const PASSWORD = "a password of the tests";

export class User {
  constructor(page, origin) {
    this.page = page;
    this.origin = origin;
    this.email = `${crypto.randomUUID()}@example.com`;
  }

  async signUp() {
    await this.page.goto(this.origin);
    await this.enter("Sign up");
    await this.sees();
  }

  async enter(how, password = PASSWORD) {
    await this.page.getByLabel("E-mail").fill(this.email);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: how }).click();
  }

  async add(title) {
    await this.page.getByLabel("New task").fill(title);
    await this.press("Add");
  }

  press(name) {
    return this.page.getByRole("button", { name, exact: true }).click();
  }

  of(title) {
    return this.page.getByRole("listitem").filter({ hasText: title });
  }

  // Waits until the list shows these tasks, newest first; a star marks those that are done.
  sees(...titles) {
    return this.page.waitForFunction(
      ([wanted]) => {
        const rows = [...document.querySelectorAll("#work:not([hidden]) #tasks li")];
        const seen = rows.map(
          (row) => row.querySelector("span")?.textContent + (row.querySelector(":checked") ? " *" : ""),
        );
        const work = document.querySelector("#work");
        return !work.hidden && JSON.stringify(seen) === JSON.stringify(wanted);
      },
      [titles],
    );
  }

  async reads(message) {
    await this.page.getByRole("alert").filter({ hasText: message }).waitFor();
  }

  async isAskedToSignIn() {
    await this.page.getByRole("button", { name: "Sign in" }).waitFor();
    await this.page.getByLabel("New task").waitFor({ state: "hidden" });
  }
}
