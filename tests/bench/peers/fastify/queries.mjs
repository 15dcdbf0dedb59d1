// The queries as most teams write them: built anew for each request.

import { and, desc, eq, not } from "drizzle-orm";
import { tasks } from "./schema.mjs";

const mine = (owner, id) => and(eq(tasks.user_id, owner), eq(tasks.id, id));

export const queries = (db) => ({
  list: (owner) =>
    db
      .select()
      .from(tasks)
      .where(eq(tasks.user_id, owner))
      .orderBy(desc(tasks.created_at), desc(tasks.id)),
  get: (owner, id) => db.select().from(tasks).where(mine(owner, id)),
  create: (owner, values) =>
    db.insert(tasks).values({ ...values, user_id: owner }).returning(),
  update: (owner, id, values) =>
    db.update(tasks).set(values).where(mine(owner, id)).returning(),
  toggle: (owner, id) =>
    db
      .update(tasks)
      .set({ completed: not(tasks.completed) })
      .where(mine(owner, id))
      .returning(),
  remove: (owner, id) => db.delete(tasks).where(mine(owner, id)).returning({ id: tasks.id }),
});
