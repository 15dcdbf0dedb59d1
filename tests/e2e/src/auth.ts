// Better Auth's own client, on the page's own origin, with the session in a cookie.

import { createAuthClient } from "better-auth/client";
import { jwtClient } from "better-auth/client/plugins";

const client = createAuthClient({ plugins: [jwtClient()] });

export async function enter(how: string, email: string, password: string): Promise<string | null> {
  const { error } =
    how === "up"
      ? await client.signUp.email({ name: email, email, password })
      : await client.signIn.email({ email, password });
  return error && (error.message ?? "That did not work.");
}

export async function leave(): Promise<void> {
  await client.signOut();
}

// Returns a token for the API, or null without a session.
export async function newToken(): Promise<string | null> {
  const { data } = await client.token();
  return data?.token ?? null;
}
