"""The REST API over taskcore."""
