// With row-level security: each request is a transaction that first sets role and owner, as Drizzle
// documents it. The settings are local to the transaction, so they need no reset.

import { and, desc, eq, not, sql } from "drizzle-orm";
import { tasks } from "./schema.mjs";

export function rls(db) {
  const as = (owner, query) =>
    db.transaction(async (tx) => {
      await tx.execute(
        sql`select set_config('role', 'taskcore_tenant', true),
                   set_config('taskcore.user_id', ${owner}, true)`,
      );
      return await query(tx);
    });
  const mine = (owner, id) => and(eq(tasks.user_id, owner), eq(tasks.id, id));
  return {
    list: (owner) =>
      as(owner, (tx) =>
        tx
          .select()
          .from(tasks)
          .where(eq(tasks.user_id, owner))
          .orderBy(desc(tasks.created_at), desc(tasks.id)),
      ),
    get: (owner, id) => as(owner, (tx) => tx.select().from(tasks).where(mine(owner, id))),
    create: (owner, values) =>
      as(owner, (tx) => tx.insert(tasks).values({ ...values, user_id: owner }).returning()),
    update: (owner, id, values) =>
      as(owner, (tx) => tx.update(tasks).set(values).where(mine(owner, id)).returning()),
    toggle: (owner, id) =>
      as(owner, (tx) =>
        tx
          .update(tasks)
          .set({ completed: not(tasks.completed) })
          .where(mine(owner, id))
          .returning(),
      ),
    remove: (owner, id) =>
      as(owner, (tx) => tx.delete(tasks).where(mine(owner, id)).returning({ id: tasks.id })),
  };
}
