"""`python -m taskapi.openapi` prints the document, as packages/taskapi/openapi.json holds it."""

from __future__ import annotations

import sys

from .standalone import text

if __name__ == "__main__":
    sys.stdout.write(text())
