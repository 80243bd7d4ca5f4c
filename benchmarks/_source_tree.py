"""Read the modules of the source tree and their imports, and find what the architecture forbids."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "panglot"


@dataclass(frozen=True)
class Import:
    """One imported name.

    Attributes:
        line: Line of the import, from 1.
        module: The module of this package that the name comes from.
        name: The name, or empty if the module itself is imported.
        when: ``load`` if the import runs when the module is loaded, ``call`` if it runs inside a function, and
            ``check`` if only type checkers see it.
    """

    line: int
    module: str
    name: str
    when: str


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: Dotted name, ``panglot.data.rows``; a package has the name of its folder.
        path: The file.
        text: Its content.
    """

    name: str
    path: Path
    text: str

    @property
    def lines(self) -> int:
        """Number of lines: code, docstrings, comments and blanks."""
        return self.text.count("\n")

    @property
    def stage(self) -> str:
        """The folder under the package, or empty for a module that every stage may use."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and not parts[1].startswith("_") else ""

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def import_nodes(self) -> list[tuple[ast.Import | ast.ImportFrom, str]]:
        """The import statements, each with the ``when`` of :class:`Import`."""
        return list(_import_nodes(self.tree.body, "load"))

    @cached_property
    def comments(self) -> int:
        """Number of comments for people; instructions to tools do not count."""
        tools = ("noqa", "type:", "fmt:", "pragma", "pyright", "ruff", "!")
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(
            token.type == tokenize.COMMENT and not token.string.lstrip("#").strip().startswith(tools)
            for token in tokens
        )


def modules(source: Path) -> dict[str, Module]:
    """Return the modules of the package under ``source`` by their dotted names."""
    found: dict[str, Module] = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        found[name] = Module(name, path, path.read_text("utf-8"))
    return found


def imports(module: Module, known: Mapping[str, Module]) -> list[Import]:
    """Return what a module imports from its own package."""
    found: list[Import] = []
    for node, when in module.import_nodes:
        for alias in node.names:
            base = (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
            if base.split(".")[0] != PACKAGE:
                continue
            if isinstance(node, ast.Import):
                found.append(Import(node.lineno, base, "", when))
            elif f"{base}.{alias.name}" in known:
                found.append(Import(node.lineno, f"{base}.{alias.name}", "", when))
            else:
                found.append(Import(node.lineno, base, alias.name, when))
    return found


def _import_nodes(body: Iterable[ast.AST], when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, when
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _import_nodes(ast.iter_child_nodes(node), "call" if when == "load" else when)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _import_nodes(node.body, "check")
            yield from _import_nodes(node.orelse, when)
        else:
            yield from _import_nodes(ast.iter_child_nodes(node), when)


def private_imports(known: Mapping[str, Module]) -> list[str]:
    """Return each use of another stage's private module or name, as ``module:line: what``."""
    found: list[str] = []
    for module in known.values():
        bound: dict[str, str] = {}  # this file's names for modules of other stages
        for each in imports(module, known):
            other = known.get(each.module)
            if other is None or other.stage in {"", module.stage}:
                continue
            if any(part.startswith("_") for part in (*each.module.split("."), each.name)):
                found.append(f"{module.name}:{each.line}: {each.module} {each.name}".rstrip())
            if not each.name:
                bound[each.module.rsplit(".", 1)[-1]] = each.module
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
                private = node.attr.startswith("_") and not node.attr.startswith("__")
                if private:
                    found.append(f"{module.name}:{node.lineno}: {bound[node.value.id]} {node.attr}")
    return found


def cycles(known: Mapping[str, Module], *, kinds: Iterable[str] = ("load",)) -> list[tuple[str, ...]]:
    """Return the groups of modules that import each other in a circle, over imports of these kinds."""
    counted = set(kinds)
    graph = {
        name: {each.module for each in imports(module, known) if each.when in counted} & known.keys()
        for name, module in known.items()
    }
    return [tuple(sorted(group)) for group in _components(graph) if len(group) > 1 or group[0] in graph[group[0]]]


def _components(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            found.append(stack[at:])
            del stack[at:]

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def importers(known: Mapping[str, Module]) -> dict[str, set[str]]:
    """Return the modules that import each module, by any kind of import."""
    found: dict[str, set[str]] = {name: set() for name in known}
    for module in known.values():
        for each in imports(module, known):
            if each.module in found and each.module != module.name:
                found[each.module].add(module.name)
    return found


def unlisted(module: Module) -> list[str]:
    """Return the public names that a module with ``__all__`` defines at its top level and does not list.

    Type variables and loggers do not count.
    """
    listed: set[str] | None = None
    defined: list[str] = []
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            if not (
                node.value and ast.unparse(node.value).startswith(("TypeVar(", "ParamSpec(", "logging.getLogger("))
            ):
                defined += names
            if "__all__" in names and node.value is not None:
                listed = set(ast.literal_eval(node.value))
    return [] if listed is None else [name for name in defined if not name.startswith("_") and name not in listed]
