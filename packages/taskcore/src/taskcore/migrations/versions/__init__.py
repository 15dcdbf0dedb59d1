"""One module a revision; their order is in `down_revision`."""
