// A page of an origin that is not allowed gets nothing of the API, although its token is good.

import assert from "node:assert/strict";
import { Person } from "../person.mjs";

export default async function play(newPage, { ORIGIN, OTHER_ORIGIN, API }) {
  const ada = new Person(await newPage(), ORIGIN);
  await ada.signUp();
  const answer = await ada.page.request.get(`${ORIGIN}/api/auth/token`);
  const { token } = await answer.json();

  const ask = ({ url, token }) =>
    fetch(url, { headers: { Authorization: `Bearer ${token}` } }).then(
      (answer) => answer.status,
      (error) => error.name,
    );
  const asked = { url: `${API}/api/tasks`, token };
  assert.equal(await ada.page.evaluate(ask, asked), 200);
  assert.equal(await ask(asked), 200); // no browser is in the way here

  const stranger = await newPage();
  const said = stranger.waitForEvent("console", (message) => message.text().includes("CORS"));
  await stranger.goto(OTHER_ORIGIN);
  assert.equal(await stranger.evaluate(ask, asked), "TypeError");
  assert.match((await said).text(), /blocked by CORS policy/);
}
