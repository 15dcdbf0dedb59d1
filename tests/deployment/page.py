"""The files and commands of packages/DEPLOYMENT.md."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "packages" / "DEPLOYMENT.md").read_text()


def file(name: str) -> str:
    """The file that the page shows under this name, which its first line has."""
    (found,) = re.findall(rf"^```\w+\n# \S*/{re.escape(name)}\n(.*?)^```$", PAGE, re.M | re.S)
    return str(found)


def command(start: str) -> str:
    """The command of the page that begins like this."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
    (found,) = [line for block in blocks for line in block.splitlines() if line.startswith(start)]
    return str(found)


def replaced(text: str, **values: str) -> str:
    """The text with each of the page's values (given by its key) replaced; each has to be there."""
    for name, value in values.items():
        before = SUBSTITUTES[name]
        assert before in text, f"the page has no {before}"
        text = text.replace(before, value)
    return text


# What a test has in other places than the page.
SUBSTITUTES = {
    "address": "127.0.0.1:8000",
    "taskcli": "/opt/taskapi/bin/taskcli",
    "tls": "443 ssl http2",
    "certificate": "/etc/ssl/tasks.example.com.pem",
    "key": "/etc/ssl/private/tasks.example.com.key",
    "log": "/var/log/nginx/taskapi.log",
    "host": "tasks.example.com",
}
