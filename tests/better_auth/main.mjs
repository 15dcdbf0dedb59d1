// The server of the tests, with two endpoints that no real one has: sent mail, and any signed token.

import { text } from "node:stream/consumers";
import { mailed, optionsFor } from "./options.mjs";
import { serve } from "./server.mjs";

const TEST_ENDPOINTS = {
  "/mailed": (auth, { email }) => ({ token: mailed.get(email) }),
  "/sign": (auth, payload) => auth.api.signJWT({ body: { payload } }),
};

await serve(optionsFor(process.env), process.env.PORT, async (request, response, auth) => {
  const endpoint = TEST_ENDPOINTS[request.url];
  if (!endpoint) return response.writeHead(404).end();
  const answer = await endpoint(auth, JSON.parse(await text(request)));
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(answer));
});
