// The frontend: the built page, the API's URL (/config.json), and Better Auth on the same origin.

import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { optionsFor } from "../better_auth/options.mjs";
import { serve } from "../better_auth/server.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const { DIST, CONFIG, PORT } = process.env;

// A user's tokenLifetime is the lifetime of that user's tokens, so a test can wait until one expires.
const options = optionsFor(process.env, {
  definePayload: ({ user }) => ({ exp: Math.floor(Date.now() / 1000) + user.tokenLifetime }),
});
options.user.additionalFields = { tokenLifetime: { type: "number", defaultValue: 900 } };

await serve(options, PORT, async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const file = pathname === "/config.json" ? CONFIG : join(DIST, normalize(pathname));
  const path = file.endsWith("/") ? join(file, "index.html") : file;
  try {
    const content = await readFile(path);
    const type = TYPES[extname(path)] ?? "application/json";
    response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-store" }).end(content);
  } catch {
    response.writeHead(404).end();
  }
});
