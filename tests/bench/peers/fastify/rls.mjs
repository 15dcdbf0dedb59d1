// With row-level security: each request is a transaction that first sets role and owner, as Drizzle
// documents it. The settings are local to the transaction, so they need no reset.

import { sql } from "drizzle-orm";
import { queries } from "./queries.mjs";

export function rls(db) {
  const bound =
    (name) =>
    (owner, ...values) =>
      db.transaction(async (tx) => {
        await tx.execute(
          sql`select set_config('role', 'taskcore_tenant', true),
                     set_config('taskcore.user_id', ${owner}, true)`,
        );
        return await queries(tx)[name](owner, ...values);
      });
  return Object.fromEntries(Object.keys(queries(db)).map((name) => [name, bound(name)]));
}
