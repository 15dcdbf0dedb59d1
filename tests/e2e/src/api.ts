// The API's client, typed by the server's own OpenAPI document; it sends a token with each request.

import createClient from "openapi-fetch";
import { newToken } from "./auth";
import type { components, paths } from "./schema";

export type Task = paths["/api/tasks/{id}"]["get"]["responses"][200]["content"]["application/json"];
type Problem = components["schemas"]["Problem"];

// The API refused the token (401), or there is none: the user must sign in.
export class SignedOut extends Error {}

// Any other failure; its message is a sentence for the user.
export class Refused extends Error {}

const { api } = (await (await fetch("/config.json")).json()) as { api: string };
const client = createClient<paths>({ baseUrl: api });
let token: string | null = null;

client.use({
  async onRequest({ request }) {
    token ??= await newToken();
    if (token === null) throw new SignedOut();
    request.headers.set("Authorization", `Bearer ${token}`);
    return request;
  },
});

export function forget(): void {
  token = null;
}

export const list = async (): Promise<Task[]> => (await answer(client.GET("/api/tasks")))!;

export const add = (title: string) => answer(client.POST("/api/tasks", { body: { title } }));

export const rename = ({ id }: Task, title: string) =>
  answer(client.PUT("/api/tasks/{id}", { params: { path: { id } }, body: { title } }));

export const complete = ({ id }: Task, completed: boolean) =>
  answer(
    client.PATCH("/api/tasks/{id}/complete", { params: { path: { id } }, body: { completed } }),
  );

export const remove = ({ id }: Task) =>
  answer(client.DELETE("/api/tasks/{id}", { params: { path: { id } } }));

type Answer<T> = { data?: T; error?: Problem };

async function answer<T>(call: Promise<Answer<T>>): Promise<T | undefined> {
  let result: Answer<T>;
  try {
    result = await call;
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    throw new Refused("The tasks cannot be reached right now. Please try again in a moment.");
  }
  const problem = result.error;
  if (problem?.status === 401) throw new SignedOut(problem.code);
  if (problem) throw new Refused(problem.errors?.[0]?.message ?? problem.detail);
  return result.data;
}
