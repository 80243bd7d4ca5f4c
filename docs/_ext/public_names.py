"""Find the public names of a package in its source, without importing it.

A module is public if no part of its path begins with an underscore. Its public names are those of ``__all__``. Without
``__all__``, they are the classes, functions and constants that it defines without a leading underscore.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import griffe
from sphinx.util import logging

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a name is found: the module, and the dotted name within it."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """The whole dotted path."""
        return f"{self.module}.{self.name}"

    def of(self, name: str) -> Place:
        """Return the place of a member."""
        return Place(self.module, f"{self.name}.{name}")


class Export(NamedTuple):
    """A public name: where it is exported, and what it is."""

    place: Place
    target: griffe.Object


def is_public(path: str) -> bool:
    """Return whether no part of a dotted path begins with an underscore.

    >>> is_public("panglot.search.index"), is_public("panglot._files")
    (True, False)
    """
    return not any(part.startswith("_") for part in path.split("."))


def public_modules(package: griffe.Module) -> Iterator[griffe.Module]:
    """Yield a module and all public modules below it, in the order of their names."""
    yield package
    for name in sorted(package.modules):
        module = package.modules[name]
        if not module.is_alias and is_public(module.path):
            yield from public_modules(module)


def add_unpacked(module: griffe.Module) -> None:
    """Add the names of assignments such as ``FIRST, SECOND = range(2)``, which griffe leaves out."""
    if isinstance(module.filepath, Path) and module.filepath.suffix == ".py":
        for statement in ast.parse(module.filepath.read_text("utf-8")).body:
            for target in statement.targets if isinstance(statement, ast.Assign) else ():
                for part in target.elts if isinstance(target, ast.Tuple) else ():
                    if isinstance(part, ast.Name) and part.id not in module.members:
                        found = griffe.Attribute(part.id, lineno=statement.lineno, endlineno=statement.end_lineno)
                        module.set_member(part.id, found)
    for inner in module.modules.values():
        if not inner.is_alias:
            add_unpacked(inner)


def exports(module: griffe.Module) -> list[Export]:
    """Return the public names of a module."""
    if module.exports is not None:
        names = [str(name) for name in module.exports]
    else:
        names = [
            name
            for name, member in module.members.items()
            if not name.startswith("_") and not member.is_alias and not member.is_module
        ]
    found: list[Export] = []
    for name in names:
        member = module.members.get(name)
        if member is None:
            _log.warning("%s: __all__ names %s, which is not there", module.path, name)
            continue
        try:
            target = member.final_target if isinstance(member, griffe.Alias) else member
        except griffe.AliasResolutionError:
            continue  # a name of another library, documented there
        found.append(Export(Place(module.path, name), target))
    return found
