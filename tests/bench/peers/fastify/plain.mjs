// Without row-level security: prepared statements, as Drizzle recommends them for speed.

import { and, desc, eq, not, sql } from "drizzle-orm";
import { queries } from "./queries.mjs";
import { tasks } from "./schema.mjs";

const owner = sql.placeholder("owner");
const mine = and(eq(tasks.user_id, owner), eq(tasks.id, sql.placeholder("id")));

export function plain(db) {
  const list = db
    .select()
    .from(tasks)
    .where(eq(tasks.user_id, owner))
    .orderBy(desc(tasks.created_at), desc(tasks.id))
    .prepare("list");
  const get = db.select().from(tasks).where(mine).prepare("get");
  const toggle = db
    .update(tasks)
    .set({ completed: not(tasks.completed) })
    .where(mine)
    .returning()
    .prepare("toggle");
  const remove = db.delete(tasks).where(mine).returning({ id: tasks.id }).prepare("remove");
  return {
    list: (owner) => list.execute({ owner }),
    get: (owner, id) => get.execute({ owner, id }),
    toggle: (owner, id) => toggle.execute({ owner, id }),
    remove: (owner, id) => remove.execute({ owner, id }),
    // The columns that these write depend on the request.
    create: queries(db).create,
    update: queries(db).update,
  };
}
