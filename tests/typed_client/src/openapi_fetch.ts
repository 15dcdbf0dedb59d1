// A frontend's use of the six endpoints, written against the types of the OpenAPI document only.
//
// Usage: node build/openapi_fetch.js BASE_URL TOKEN. It prints nothing, or the failed assertion.

import assert from "node:assert/strict";
import { argv } from "node:process";
import createClient from "openapi-fetch";
import type { components, paths } from "../build/schema.js";

type Task = components["schemas"]["Task"];
type Problem = components["schemas"]["Problem"];

const [, , baseUrl, token] = argv;
assert(baseUrl && token);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

// A switch over the code is exhaustive without a default, because the type names every code.
function whatToDo(problem: Problem): "sign in" | "reload" | "show" | "retry" | "report" {
  switch (problem.code) {
    case "token_missing":
    case "token_malformed":
    case "token_invalid":
    case "token_expired":
    case "token_not_yet_valid":
    case "user_unknown":
      return "sign in";
    case "stale_version":
    case "task_not_found":
    case "not_task_owner":
      return "reload";
    case "validation_failed":
    case "body_too_large":
      return "show";
    case "database_unavailable":
    case "keys_unavailable":
    case "not_ready":
    case "outcome_unknown":
    case "request_timeout":
      return "retry";
    case "route_not_found":
    case "method_not_allowed":
    case "invalid_json":
    case "unsupported_media_type":
    case "malformed_request":
    case "headers_too_large":
    case "internal_error":
      return "report";
  }
}

// Create a task; a second create with the same key returns the same task.
const key = { header: { "Idempotency-Key": crypto.randomUUID() } };
const made = await client.POST("/api/tasks", { params: key, body: { title: "Buy milk" } });
const again = await client.POST("/api/tasks", { params: key, body: { title: "Buy milk" } });
const task: Task | undefined = made.data;
assert(task);
assert.deepEqual(again.data, task);
assert.equal(made.response.headers.get("Idempotency-Replayed"), null);
assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");
assert.deepEqual([task.title, task.description, task.completed], ["Buy milk", null, false]);

// List and read it; with a known ETag it is not sent again.
const listed = await client.GET("/api/tasks");
assert.deepEqual(listed.data, [task]);
const path = { id: task.id };
const read = await client.GET("/api/tasks/{id}", { params: { path } });
assert.deepEqual(read.data, task);
const etag = read.response.headers.get("ETag");
assert(etag);
const known = await client.GET("/api/tasks/{id}", {
  params: { path, header: { "If-None-Match": etag } },
});
assert.equal(known.response.status, 304);

// Change it if it is unchanged since it was read; the second time it is not.
const ifUnchanged = { path, header: { "If-Match": etag } };
const changed = await client.PUT("/api/tasks/{id}", {
  params: ifUnchanged,
  body: { description: "Two litres, oat" },
});
assert.deepEqual(changed.data, {
  ...task,
  description: "Two litres, oat",
  updated_at: changed.data?.updated_at,
});
const stale = await client.PUT("/api/tasks/{id}", {
  params: ifUnchanged,
  body: { description: null },
});
assert(stale.error);
assert.equal(stale.error.code satisfies Problem["code"], "stale_version");
assert.equal(whatToDo(stale.error), "reload");

// Complete it: without a body it is toggled, with one it is set.
const complete = "/api/tasks/{id}/complete";
const toggled = await client.PATCH(complete, { params: { path } });
assert.equal(toggled.data?.completed, true);
for (const completed of [true, false]) {
  const set = await client.PATCH(complete, { params: { path }, body: { completed } });
  assert.equal(set.data?.completed, completed);
}

// Errors name the wrong field, or what to do.
const blank = await client.POST("/api/tasks", { body: { title: " " } });
assert(blank.error);
assert.equal(blank.error.code, "validation_failed");
assert.deepEqual(blank.error.errors?.map(({ field }) => field), ["title"]);
const withoutToken = createClient<paths>({ baseUrl });
const refused = await withoutToken.GET("/api/tasks");
assert(refused.error);
assert.equal(whatToDo(refused.error), "sign in");

// Delete it; then it is gone.
const deleted = await client.DELETE("/api/tasks/{id}", { params: { path } });
assert.equal(deleted.response.status, 204);
const gone = await client.GET("/api/tasks/{id}", { params: { path } });
assert(gone.error);
assert.equal(gone.error.code, "task_not_found");
assert.deepEqual((await client.GET("/api/tasks")).data, []);

// The types refuse these: the compiler fails if one of them becomes allowed.
export function refusedByTheCompiler(problem: Problem): unknown {
  // @ts-expect-error a code that does not exist
  problem.code === "no_such_code";
  // @ts-expect-error a task needs a title
  void client.POST("/api/tasks", { body: {} });
  // @ts-expect-error a title is text
  void client.PUT("/api/tasks/{id}", { params: { path }, body: { title: 1 } });
  // @ts-expect-error a task is named by its id
  void client.DELETE("/api/tasks/{id}");
  // @ts-expect-error there is no such path
  return client.GET("/api/users");
}
