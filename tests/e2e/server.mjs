// The frontend: the built page, where the API is, and Better Auth on the same origin.

import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { optionsFor } from "../better_auth/options.mjs";
import { serve } from "../better_auth/server.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const { DIST, CONFIG, PORT } = process.env;

// How long a user's tokens hold is the user's to say, so that a test can see one expire.
const options = optionsFor(process.env, {
  definePayload: ({ user }) => ({ exp: Math.floor(Date.now() / 1000) + user.tokenLifetime }),
});
options.user.additionalFields = { tokenLifetime: { type: "number", defaultValue: 900 } };

await serve(options, PORT, async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const file = pathname === "/config.json" ? CONFIG : join(DIST, normalize(pathname));
  const asked = file.endsWith("/") ? join(file, "index.html") : file;
  try {
    const content = await readFile(asked);
    const type = TYPES[extname(asked)] ?? "application/json";
    response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-store" }).end(content);
  } catch {
    response.writeHead(404).end();
  }
});
