// Better Auth on a loopback port: migrates its tables, then serves its paths and the caller's others.

import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";

export async function serve(options, port, answerOthers) {
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  const auth = betterAuth(options);
  const answer = toNodeHandler(auth);
  const server = createServer(async (request, response) => {
    try {
      if (request.url.startsWith("/api/auth/")) await answer(request, response);
      else await answerOthers(request, response, auth);
    } catch (error) {
      console.error(error);
      response.writeHead(500).end();
    }
  });
  server.listen(port, "127.0.0.1");
}
