"""The revisions, one module each, ordered by `down_revision`. They import nothing of ours."""
