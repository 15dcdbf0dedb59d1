// The server of the tests, with two doors that no real one has: the mail, and the signer.

import { text } from "node:stream/consumers";
import { mailed, optionsFor } from "./options.mjs";
import { serve } from "./server.mjs";

const DOORS = {
  "/mailed": (auth, { email }) => ({ token: mailed.get(email) }),
  "/sign": (auth, payload) => auth.api.signJWT({ body: { payload } }),
};

await serve(optionsFor(process.env), process.env.PORT, async (request, response, auth) => {
  const door = DOORS[request.url];
  if (!door) return response.writeHead(404).end();
  const answer = await door(auth, JSON.parse(await text(request)));
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(answer));
});
