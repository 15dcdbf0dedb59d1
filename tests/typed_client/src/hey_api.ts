// A frontend's use of the six endpoints, over the client that @hey-api/openapi-ts makes.
//
// Usage: node build/js/src/hey_api.js BASE_URL TOKEN. It prints nothing, or the failed assertion.

import assert from "node:assert/strict";
import { argv } from "node:process";
import { createClient } from "../build/hey_api/client/index.js";
import {
  completeTask,
  createTask,
  deleteTask,
  getTask,
  listTasks,
  updateTask,
} from "../build/hey_api/index.js";
import type { Problem, Task } from "../build/hey_api/index.js";

const [, , baseUrl, token] = argv;
assert(baseUrl && token);
const client = createClient({ baseUrl, auth: token });

// Create a task; a second create with the same key returns the same task.
const headers = { "Idempotency-Key": crypto.randomUUID() };
const made = await createTask({ client, headers, body: { title: "Buy milk" } });
const again = await createTask({ client, headers, body: { title: "Buy milk" } });
const task: Task | undefined = made.data;
assert(task);
assert.deepEqual(again.data, task);
assert.equal(made.response?.headers.get("Idempotency-Replayed"), null);
assert.equal(again.response?.headers.get("Idempotency-Replayed"), "true");
assert.deepEqual([task.title, task.description, task.completed], ["Buy milk", null, false]);

// List and read it; with a known ETag it is not sent again.
assert.deepEqual((await listTasks({ client })).data, [task]);
const path = { id: task.id };
const read = await getTask({ client, path });
assert.deepEqual(read.data, task);
const etag = read.response?.headers.get("ETag");
assert(etag);
const known = await getTask({ client, path, headers: { "If-None-Match": etag } });
assert.equal(known.response?.status, 304);

// Change it if it is unchanged since it was read; the second time it is not.
const ifUnchanged = { client, path, headers: { "If-Match": etag } };
const changed = await updateTask({ ...ifUnchanged, body: { description: "Two litres, oat" } });
assert.equal(changed.data?.description, "Two litres, oat");
assert.equal(changed.data.title, "Buy milk");
const stale = await updateTask({ ...ifUnchanged, body: { description: null } });
assert(stale.error);
assert.equal(stale.error.code satisfies Problem["code"], "stale_version");

// Complete it: without a body it is toggled, with one it is set.
const toggled = await completeTask({ client, path });
assert.equal(toggled.data?.completed, true);
for (const completed of [true, false]) {
  const set = await completeTask({ client, path, body: { completed } });
  assert.equal(set.data?.completed, completed);
}

// Errors name the wrong field, or what to do.
const blank = await createTask({ client, body: { title: " " } });
assert(blank.error);
assert.equal(blank.error.code, "validation_failed");
assert.deepEqual(blank.error.errors?.map(({ field }) => field), ["title"]);
const refused = await listTasks({ client: createClient({ baseUrl }) });
assert.equal(refused.error?.code, "token_missing");

// Delete it; then it is gone.
const deleted = await deleteTask({ client, path });
assert.equal(deleted.response?.status, 204);
const gone = await getTask({ client, path });
assert.equal(gone.error?.code, "task_not_found");
assert.deepEqual((await listTasks({ client })).data, []);

// The types refuse these: the compiler fails if one of them becomes allowed.
export function refusedByTheCompiler(problem: Problem): unknown {
  // @ts-expect-error a code that does not exist
  problem.code === "no_such_code";
  // @ts-expect-error a task needs a title
  void createTask({ client, body: {} });
  // @ts-expect-error a title is text
  void updateTask({ client, path, body: { title: 1 } });
  // @ts-expect-error a header is text
  void createTask({ client, body: { title: "t" }, headers: { "Idempotency-Key": null } });
  // @ts-expect-error a task is named by its id
  return deleteTask({ client });
}
