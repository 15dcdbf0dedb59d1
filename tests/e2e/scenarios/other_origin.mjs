// A page of an origin that is not allowed cannot read the API's answers, also with a good token.

import assert from "node:assert/strict";
import { User } from "../user.mjs";

export default async function play(newPage, { ORIGIN, OTHER_ORIGIN, API }) {
  const ada = new User(await newPage(), ORIGIN);
  await ada.signUp();
  const answer = await ada.page.request.get(`${ORIGIN}/api/auth/token`);
  const { token } = await answer.json();

  const fetchStatus = ({ url, token }) =>
    fetch(url, { headers: { Authorization: `Bearer ${token}` } }).then(
      (answer) => answer.status,
      (error) => error.name,
    );
  const request = { url: `${API}/api/tasks`, token };
  assert.equal(await ada.page.evaluate(fetchStatus, request), 200);
  assert.equal(await fetchStatus(request), 200); // Node has no CORS check

  const otherPage = await newPage();
  const logged = otherPage.waitForEvent("console", (message) => message.text().includes("CORS"));
  await otherPage.goto(OTHER_ORIGIN);
  assert.equal(await otherPage.evaluate(fetchStatus, request), "TypeError");
  assert.match((await logged).text(), /blocked by CORS policy/);
}
