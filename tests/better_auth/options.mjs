// Better Auth as a frontend configures it; options of single tests come from the environment.

import { oauthProvider } from "@better-auth/oauth-provider";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const CURVES = { EdDSA: { crv: "Ed25519" } };

// The last token that was sent to each e-mail address.
export const mailed = new Map();

export function optionsFor(env, token = {}) {
  const alg = env.KEY_ALGORITHM ?? "EdDSA";
  const cacheSigner = env.SESSION_CACHE; // "secret", "keys", or no cache at all
  return {
    baseURL: env.BETTER_AUTH_URL,
    secret: env.BETTER_AUTH_SECRET,
    database: new pg.Pool({ connectionString: env.DATABASE_URL, max: 4 }),
    emailAndPassword: { enabled: true },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: async ({ user, token }) => void mailed.set(user.email, token),
    },
    user: { deleteUser: { enabled: true } },
    session: { cookieCache: { enabled: Boolean(cacheSigner), strategy: "jwt" } },
    plugins: [
      jwt({
        jwt: token,
        jwks: { keyPairConfig: { alg, ...CURVES[alg] }, rotationInterval: 30 * 24 * 60 * 60 },
        sessionCookieCache: cacheSigner === "keys",
      }),
      oauthProvider({
        loginPage: "/",
        consentPage: "/consent",
        silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
      }),
    ],
  };
}
