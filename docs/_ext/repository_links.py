"""Turn links that lead out of ``docs/`` into links to the repository.

The pages are read on GitHub as well, where ``../benchmarks/results/recipe.md`` leads to the file. The site has no such
page, so that the link goes to the repository instead. A link to what is not there stays as it is, and fails the build.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def repository_url(target: str, page: Path, docs: Path, url: str) -> str | None:
    """Return the address in the repository of what a page links to, or None for what is in ``docs/`` or not there."""
    path, _, anchor = target.partition("#")
    place = Path(os.path.normpath(page.parent / path))
    if place.is_relative_to(docs) or not place.is_relative_to(docs.parent) or not place.exists():
        return None
    kind = "tree" if place.is_dir() else "blob"
    inside = place.relative_to(docs.parent).as_posix()
    return f"{url}/{kind}/main/{inside}" + (f"#{anchor}" if anchor else "")


def _rewrite(app: Sphinx, document: nodes.document) -> None:
    docs = Path(app.srcdir).resolve()
    page = Path(app.env.doc2path(app.env.docname)).resolve()
    found = (*document.findall(addnodes.pending_xref), *document.findall(addnodes.download_reference))
    for node in found:
        if node.get("reftype") != "myst":
            continue
        target = node["reftarget"]
        if node.get("refdomain") == "doc":  # a document's name is relative to docs/ and has no suffix
            target = os.path.relpath(docs / f"{target}.md", page.parent)
            target += f"#{node['reftargetid']}" if node.get("reftargetid") else ""
        url = repository_url(target, page, docs, app.config.repository_url)
        if url is not None:
            node.replace_self(nodes.reference("", "", *node.children, refuri=url))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_config_value("repository_url", "", "env")
    # Before Sphinx collects files to download, with priority 500.
    app.connect("doctree-read", _rewrite, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
