"""The task domain: its fields, its ids, and what a user can do with tasks."""
