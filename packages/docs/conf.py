"""Settings of Sphinx for the documentation site: `nox -s docs` builds it.

The pages are those of the repository, unchanged and in their folders, so that their links hold.
Every warning is an error: a broken link, a reference without a target, a public name without text.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version as installed
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

# Before autodoc does: it imports modules with TYPE_CHECKING set, which FastAPI's own do not bear.
import taskapi.server  # noqa: F401

project = "taskcore"
author = "The taskcore authors"
release = version = installed("taskcore")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"taskcore {release}"
html_copy_source = False
html_show_copyright = False

# Headings have the anchors that the pages' links use elsewhere.
myst_heading_anchors = 4

# A name in single backquotes is code in a docstring, too.
default_role = "code"
autodoc_typehints_format = "short"
autodoc_member_order = "groupwise"
python_maximum_signature_line_length = 88

nitpicky = True
# What other packages define, and what modules of ours keep to themselves.
PUBLIC = ("taskcore", "taskcore.migrations", "taskcore.admin", "taskcore.embedded")
nitpick_ignore_regex = [
    ("py:.*", r"(?!task(core|api|cli)\.).*"),
    ("py:.*", r"taskcore\.\w+\..+"),
]

logger = logging.getLogger(__name__)
exported = {
    name: getattr(module, name)
    for module in map(importlib.import_module, PUBLIC)
    for name in module.__all__
}


def refuse_undocumented(
    app: Sphinx, what: str, name: str, value: object, options: Any, lines: list[str]
) -> None:
    """Warn of a public name without a docstring. A field's name and type are enough."""
    if what != "attribute" and not any(lines):
        logger.warning("%s %s has no docstring", what, name)


def leave_out_internal_bases(
    app: Sphinx, name: str, value: type, options: Any, bases: list[Any]
) -> None:
    """Show the bases that are exported, or of Python itself."""
    shown = (*exported.values(), Exception)
    bases[:] = [base for base in bases if base in shown] or [object]


def refuse_missing(app: Sphinx, environment: BuildEnvironment) -> None:
    """Warn of a public name that no page has."""
    objects = environment.domains.python_domain.objects
    for name in sorted(exported.keys() - {documented.rpartition(".")[2] for documented in objects}):
        logger.warning("%s is exported, and in no page of the reference", name)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", refuse_undocumented)
    app.connect("env-check-consistency", refuse_missing)
    app.connect("autodoc-process-bases", leave_out_internal_bases)
