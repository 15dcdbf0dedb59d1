// Fastify, Drizzle and node-postgres: schemas for bodies and answers, @fastify/jwt for the token.

import fastifyJwt from "@fastify/jwt";
import { drizzle } from "drizzle-orm/node-postgres";
import Fastify from "fastify";
import pg from "pg";
import { plain } from "./plain.mjs";
import { queries } from "./queries.mjs";
import { rls } from "./rls.mjs";
import { change, id, newTask, task } from "./schema.mjs";

const { BETTER_AUTH_SECRET, DATABASE_URL, POOL_SIZE, PORT, STORE } = process.env;

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(POOL_SIZE) });
const db = drizzle({ client: pool });
const store = { plain, queries, rls }[STORE](db);

const app = Fastify();
await app.register(fastifyJwt, { secret: BETTER_AUTH_SECRET });
app.addHook("onRequest", (request) => request.jwtVerify());

const one = (reply, rows) => rows[0] ?? reply.code(404).send({ message: "no such task" });
const answers = (status, schema) => ({ response: { [status]: schema } });
const list = answers(200, { type: "array", items: task });
const single = { params: id, ...answers(200, task) };

app.get("/api/tasks", { schema: list }, ({ user }) => store.list(user.sub));
app.post(
  "/api/tasks",
  { schema: { body: newTask, ...answers(201, task) } },
  async ({ user, body }, reply) => {
    const [made] = await store.create(user.sub, body);
    return reply.code(201).send(made);
  },
);
app.get("/api/tasks/:id", { schema: single }, async ({ user, params }, reply) =>
  one(reply, await store.get(user.sub, params.id)),
);
app.put(
  "/api/tasks/:id",
  { schema: { body: change, ...single } },
  async ({ user, params, body }, reply) =>
    one(reply, await store.update(user.sub, params.id, body)),
);
app.patch("/api/tasks/:id/complete", { schema: single }, async ({ user, params }, reply) =>
  one(reply, await store.toggle(user.sub, params.id)),
);
app.delete("/api/tasks/:id", { schema: { params: id } }, async ({ user, params }, reply) => {
  const [gone] = await store.remove(user.sub, params.id);
  return reply.code(gone ? 204 : 404).send();
});

await app.listen({ host: "127.0.0.1", port: Number(PORT) });
