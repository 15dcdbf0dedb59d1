"""Collect the pages of the documentation site: `python packages/docs/pages.py TARGET`.

The repository's pages are copied as they are, each in its folder, with the files that they link to.
Two are made: the page of the HTTP API from the OpenAPI document, and that of taskcli from its help.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = Path(__file__).parent
LEFT_OUT = {"conf.py", "pages.py", "__pycache__"}

_Json = dict[str, Any]


def collect(target: Path) -> None:
    """Put everything that Sphinx reads into a folder."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(DOCS, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for page in pages():
        for path in [page, *linked(page)]:
            copied = target / path.relative_to(ROOT)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
    document = json.loads((ROOT / "packages" / "taskapi" / "openapi.json").read_text())
    (target / "reference" / "http.md").write_text("\n".join(http_page(document)) + "\n")
    (target / "reference" / "command.md").write_text(command_page())


def pages() -> list[Path]:
    """The pages of the repository."""
    patterns = ("README.md", "packages/*.md", "packages/*/*.md", "tests/README.md")
    found = [path for p in (*patterns, "tests/*/README.md") for path in sorted(ROOT.glob(p))]
    return [path for path in found if path.parent != DOCS]


def linked(page: Path) -> Iterator[Path]:
    """The files besides pages to which a page links."""
    for target in re.findall(r"\]\(([^)\s#]+)", page.read_text()):
        path = (page.parent / target).resolve()
        if not re.match(r"[a-z]+:", target) and path.suffix != ".md" and path.is_file():
            yield path


def http_page(document: _Json) -> Iterator[str]:
    """The lines of the page of the HTTP API."""
    yield "# HTTP API"
    yield f"\n{document['info']['description']}"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield from _operation(document, f"{method.upper()} {path}", operation)
    yield "\n## Schemas"
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(document, name, schema)


def _operation(document: _Json, heading: str, operation: _Json) -> Iterator[str]:
    yield f"\n## {heading}\n\n{operation['description']}"
    yield f"\nOperation id: `{operation['operationId']}`."
    parameters = [p for p in operation.get("parameters", ()) if p["in"] != "path"]
    for parameter in parameters:
        yield f"\nRequest header `{parameter['name']}`: {parameter['description']}"
    if body := operation.get("requestBody"):
        needed = "" if body.get("required") else ", or nothing"
        yield f"\nBody: {_type(body['content']['application/json']['schema'])}{needed}."
    yield "\n| status | body | headers | when |\n|---|---|---|---|"
    for status, response in operation["responses"].items():
        content = list(response.get("content", {}).values())
        shown = _type(content[0]["schema"]) if content else "none"
        headers = ", ".join(f"`{name}`" for name in response["headers"])
        yield f"| {status} | {shown} | {headers} | {response['description']} |"


def _schema(document: _Json, name: str, schema: _Json) -> Iterator[str]:
    yield f"\n### {name}\n\n{schema.get('description', '')}"
    yield "\n| field | type | |\n|---|---|---|"
    for field, declared in schema["properties"].items():
        needed = "always there" if field in schema.get("required", ()) else "may be absent"
        text = f"{declared.get('description', '')} {_limits(declared)}".strip()
        yield f"| `{field}` | {_type(declared)}, {needed} | {text} |"


def _type(schema: _Json) -> str:
    """The type of a schema in a few words; a schema with a name links to its section."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "properties" in schema:
        return f"object ({', '.join(f'`{name}`' for name in schema['properties'])})"
    return f"{schema['type']} ({schema['format']})" if "format" in schema else str(schema["type"])


def _limits(schema: _Json) -> str:
    """The lengths that a text may have."""
    variants = [schema, *schema.get("anyOf", ())]
    lengths = [v for v in variants if "maxLength" in v]
    return "".join(f"{v.get('minLength', 0)} to {v['maxLength']:,} characters." for v in lengths)


def command_page() -> str:
    """The page of taskcli: its help as Typer writes it, without the colours of the terminal."""
    command = (sys.executable, "-m", "typer", "taskcli.__main__", "utils", "docs")
    options = ("--name", "taskcli", "--title", "Command: taskcli")
    shown = subprocess.run((*command, *options), check=True, stdout=subprocess.PIPE, text=True)
    text = re.sub(r'<span style="font-weight: bold">(.*?)</span>', r"**\1**", shown.stdout)
    text = re.sub(r"<span[^>]*>Example:</span> (.*)", r"Example: `\1`", text)
    return re.sub(r"<span[^>]*>(.*?)</span>", r"`\1`", text)


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
