// The table for Drizzle, and the JSON schemas of requests and answers.

import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { boolean, pgTable, text, timestamp, uuid, varchar } from "drizzle-orm/pg-core";

const timeColumn = () => timestamp({ withTimezone: true }).notNull().default(sql`now()`);

export const tasks = pgTable("tasks", {
  id: uuid().notNull().$defaultFn(() => randomUUID()),
  user_id: text().notNull(),
  title: varchar({ length: 500 }).notNull(),
  description: text(),
  completed: boolean().notNull().default(false),
  created_at: timeColumn(),
  updated_at: timeColumn().$onUpdate(() => new Date()),
});

const fields = {
  title: { type: "string", minLength: 1, maxLength: 500 },
  description: { type: "string", nullable: true, maxLength: 10000 },
  completed: { type: "boolean" },
};

export const newTask = { type: "object", required: ["title"], properties: fields };
export const change = { type: "object", minProperties: 1, properties: fields };
export const id = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", format: "uuid" } },
};

export const task = {
  type: "object",
  properties: {
    id: { type: "string" },
    user_id: { type: "string" },
    ...fields,
    created_at: { type: "string", format: "date-time" },
    updated_at: { type: "string", format: "date-time" },
  },
};
