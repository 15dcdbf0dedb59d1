"""`python -m taskapi.openapi` prints the document; packages/taskapi/openapi.json is its output."""

from __future__ import annotations

import sys

from .standalone import text

if __name__ == "__main__":
    sys.stdout.write(text())
