"""Write the API reference: one page per stage, read from the source without importing it.

A name that several modules export is documented once, at the shortest path, and the other modules link there.
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import griffe
from sphinx.pycode.ast import unparse
from sphinx.util import logging

from public_names import Place, add_unpacked, exports, is_public, public_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from docutils.nodes import TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_log = logging.getLogger(__name__)
_ROLE = re.compile(r":(?:py:)?(attr|class|data|exc|func|meth|mod|obj):`(?:([^`<]+) <)?(~?)([\w.]+)(?:\(\))?>?`")
_STEP = "   "
_LONGEST_VALUE = 100


class Reference:
    """The public names of a package, and their descriptions as reStructuredText."""

    def __init__(self, package: griffe.Module, leave_out: Iterable[str] = ()) -> None:
        self.package = package
        self.stages = [
            package.modules[name]
            for name in sorted(package.modules)
            if is_public(name) and name not in leave_out and not package.modules[name].is_alias
        ]
        self.contents = {package.path: exports(package)}
        for stage in self.stages:
            for module in public_modules(stage):
                self.contents[module.path] = exports(module)
        #: Where each object is documented, by its canonical path.
        self.homes: dict[str, Place] = {}
        for place, target in sorted(
            (export for found in self.contents.values() for export in found),
            key=lambda export: (export.place.path.count("."), export.place.path),
        ):
            self.homes.setdefault(target.path, place)

    def pages(self) -> dict[str, str]:
        """Return each page's text by its file name."""
        written = {"index.rst": self._index()}
        for stage in self.stages:
            parts = [_heading(stage.path, "=")]
            for module in public_modules(stage):
                if module is not stage and (self.contents[module.path] or module.docstring):
                    parts.append(_heading(module.path, "-"))
                parts.append(self._module(module))
            written[f"{stage.name}.rst"] = "\n".join(parts)
        return written

    def _index(self) -> str:
        rows = [f"* - :doc:`{stage.name}`\n  - {self._summary(stage)}" for stage in self.stages]
        parts = (
            _heading("API reference", "="),
            "Import these names from ``panglot`` itself. Each stage of the library has a page of its own.\n",
            ".. list-table::\n   :widths: 20 80\n",
            indent("\n".join(rows), _STEP),
            "\n.. toctree::\n   :hidden:\n",
            indent("\n".join(stage.name for stage in self.stages), _STEP),
            "\n",
            _heading(self.package.path, "-"),
            self._module(self.package),
        )
        return "\n".join(parts)

    def _summary(self, module: griffe.Module) -> str:
        text = self._resolved(module.docstring.value, module) if module.docstring else ""
        return text.split("\n\n")[0].replace("\n", " ") or module.path

    def _module(self, module: griffe.Module) -> str:
        # A package may export a function by the name of the module that holds it: then the function has the address.
        taken = module.path in {home.path for home in self.homes.values()}
        parts = [f".. py:{'currentmodule' if taken else 'module'}:: {module.path}\n", self._docstring(module)]
        for place, target in self.contents[module.path]:
            home = self.homes[target.path]
            if home == place:
                parts.append(self._object(target, home))
            else:
                parts.append(f"* {_role(target)}`{home.path}`\n")
        return "\n".join(parts)

    def _object(self, target: griffe.Object, place: Place) -> str:
        if isinstance(target, griffe.Class):
            return self._class(target, place)
        if isinstance(target, griffe.Function):
            return self._function(target, place, "function")
        return self._attribute(target, place, "data")

    def _class(self, target: griffe.Class, place: Place) -> str:
        kind = "exception" if any(str(base).endswith(("Error", "Exception")) for base in target.bases) else "class"
        fields = [
            member
            for member in target.members.values()
            if isinstance(member, griffe.Attribute) and "class-attribute" in member.labels and is_public(member.name)
        ]
        parameters = target.parameters
        if any(str(base).endswith("NamedTuple") for base in target.bases):
            parameters = [
                griffe.Parameter(field.name, annotation=field.annotation, default=field.value)
                for field in target.members.values()
                if isinstance(field, griffe.Attribute) and field.annotation is not None
            ]
        # Without a constructor of its own, a class of the package may still inherit one. No signature is better than a
        # wrong one.
        lines = [f".. py:{kind}:: {self._signature(place.name, parameters, bound=True).removesuffix('()')}"]
        lines += self._canonical(target, place)
        bases = [self._annotation(base) for base in target.bases if not str(base).startswith(("NamedTuple", "Generic"))]
        body = [f"Bases: {', '.join(_literal(base) for base in bases)}\n"] if bases else []
        body.append(self._docstring(target))
        described = _described(target)
        for name, text in described.items():
            member = target.members.get(name)
            if isinstance(member, griffe.Attribute):
                body.append(self._attribute(member, place.of(name), "attribute", text))
            else:
                body.append(_directive([f".. py:attribute:: {place.of(name).name}"], self._resolved(text, target)))
        body += [
            self._attribute(field, place.of(field.name), "attribute")
            for field in fields
            if field.name not in described and "property" not in field.labels
        ]
        for name, member in target.members.items():
            if member.is_alias or not is_public(name) or name in described:
                continue
            if isinstance(member, griffe.Function):
                body.append(self._function(member, place.of(name), "method"))
            elif isinstance(member, griffe.Attribute) and "property" in member.labels:
                body.append(self._attribute(member, place.of(name), "property"))
        return _directive(lines, "\n".join(body))

    def _function(self, target: griffe.Function, place: Place, kind: str) -> str:
        bound = kind == "method" and "staticmethod" not in target.labels
        signatures = [
            self._signature(place.name, each.parameters, each.returns, bound=bound)
            for each in target.overloads or [target]
        ]
        lines = [f".. py:{kind}:: {signatures[0]}"]
        lines += [" " * len(f".. py:{kind}:: ") + signature for signature in signatures[1:]]
        lines += self._canonical(target, place)
        lines += [f"{_STEP}:{name}:" for name in ("async", "classmethod", "staticmethod") if name in target.labels]
        return _directive(lines, self._docstring(target))

    def _attribute(self, target: griffe.Object, place: Place, kind: str, text: str | None = None) -> str:
        lines = [f".. py:{kind}:: {place.name}", *self._canonical(target, place)]
        annotation, value = getattr(target, "annotation", None), getattr(target, "value", None)
        if annotation is not None:
            lines.append(f"{_STEP}:type: {self._annotation(annotation)}")
        if value is not None and kind != "property":
            shown = " ".join(str(value).split())
            lines.append(f"{_STEP}:value: {shown if len(shown) <= _LONGEST_VALUE else '…'}")
        if text is not None:
            return _directive(lines, self._resolved(text, target))
        return _directive(lines, self._docstring(target) or self._resolved(_comment(target), target))

    def _canonical(self, target: griffe.Object, place: Place) -> list[str]:
        return [f"{_STEP}:canonical: {target.path}"] if target.path != place.path else []

    def _signature(
        self,
        name: str,
        parameters: Iterable[griffe.Parameter],
        returns: str | griffe.Expr | None = None,
        *,
        bound: bool,
    ) -> str:
        """Return a signature, without ``self`` or ``cls`` if it is bound to them."""
        shown: list[griffe.Parameter] = []
        for each in parameters:
            default = None if each.default is None else _shown(str(each.default))
            annotation = None if each.annotation is None else self._annotation(each.annotation)
            shown.append(griffe.Parameter(each.name, kind=each.kind, annotation=annotation, default=default))
        if bound and shown and shown[0].name in {"self", "cls"}:
            del shown[0]
        made = None if returns is None else self._annotation(returns)
        return griffe.Function(name, parameters=griffe.Parameters(*shown), returns=made).signature()

    def _annotation(self, annotation: str | griffe.Expr) -> str:
        """Return an annotation with every name as its full path, of which Sphinx shows the last part."""
        if isinstance(annotation, str):
            return annotation
        if isinstance(annotation, griffe.ExprName | griffe.ExprAttribute):
            path = annotation.canonical_path
            home = self.homes.get(path)
            return f"~{home.path}" if home else f"~{path}" if "." in path else path
        parts = (
            str(part) if isinstance(part, str) else self._annotation(part) for part in annotation.iterate(flat=False)
        )
        return " ".join("".join(parts).split())

    def _docstring(self, target: griffe.Object) -> str:
        """Return a docstring of Google's convention as reStructuredText. Attributes are left to the class."""
        if target.docstring is None:
            return ""
        kinds = griffe.DocstringSectionKind
        fields: dict[griffe.DocstringSectionKind, Callable[[Any], str]] = {
            kinds.parameters: lambda item: "param " + item.name.replace("*", "\\*"),
            kinds.returns: lambda _: "returns",
            kinds.yields: lambda _: "yields",
            kinds.raises: lambda item: f"raises {self._annotation(item.annotation or 'Exception')}",
            kinds.attributes: lambda item: item.name,
        }
        parts: list[str] = []
        for section in _sections(target):
            value = section.value
            match section.kind:
                case kinds.text:
                    parts.append(f"{value}\n")
                case kinds.attributes if isinstance(target, griffe.Class):
                    pass
                case kind if kind in fields:
                    parts += [*(_field(fields[kind](item), item.description) for item in value), ""]
                case kinds.examples:
                    parts += [".. rubric:: Example\n", *(f"{text}\n" for _, text in value)]
                case kinds.admonition:
                    title = section.title or value.kind
                    parts.append(_directive([f".. admonition:: {title}"], str(value.contents)))
                case _:
                    _log.warning("%s: a section of kind %s has no form here", _place(target), section.kind.value)
        return self._resolved("\n".join(parts), target)

    def _resolved(self, text: str, target: griffe.Object) -> str:
        """Give each cross reference the full path of what it names, as a reader of the source would find it."""

        def full(match: re.Match[str]) -> str:
            role, title, short, name = match.groups()
            shown = title or (name.rsplit(".", 1)[-1] if short else name)
            path = self._find(name, target)
            if path is None:
                _log.warning("%s: the cross reference %s leads nowhere", _place(target), match[0])
            # What is there but not public has no page.
            home = path and self._home(path)
            return f":py:{role}:`{shown} <{home}>`" if home else f"``{shown}``"

        return _ROLE.sub(full, text)

    def _find(self, name: str, target: griffe.Object) -> str | None:
        """Return the canonical path of a name as seen from an object, or None if the name does not exist."""
        if name.split(".", maxsplit=1)[0] == self.package.name:
            found = self._at(name)
            return found.path if found else None
        scope: griffe.Object | None = target
        while scope is not None:
            found = self._at(f"{scope.path}.{name}")
            if found:
                return found.path
            scope = scope.parent
        try:
            return target.resolve(name)
        except griffe.NameResolutionError:
            # A stage's other modules may be named without their path, where only one of them has that name.
            stage = target.path.split(".")[:2]
            alike = [path for path in self.homes if path.split(".")[:2] == stage and path.endswith(f".{name}")]
            return alike[0] if len(alike) == 1 else None

    def exists(self, path: str) -> bool:
        """Return whether a full path names something in the package, public or not."""
        return self._at(path) is not None

    def _at(self, path: str) -> griffe.Object | None:
        parts = path.split(".")[1:]
        try:
            found = self.package.get_member(parts) if parts else self.package
            return found.final_target if isinstance(found, griffe.Alias) else found
        except (KeyError, griffe.AliasResolutionError):
            return None

    def _home(self, path: str) -> str | None:
        """Return where an object, or the class that holds it, is documented."""
        if path in self.homes:
            return self.homes[path].path
        if path in self.contents:
            return path
        if path.split(".", maxsplit=1)[0] != self.package.name:
            return None
        holder, _, name = path.rpartition(".")
        if holder in self.homes and is_public(name):
            found = self._at(holder)
            if found is not None and (
                name in _described(found) or not isinstance(found.members[name], griffe.Attribute)
            ):
                return self.homes[holder].of(name).path
        return None


def _sections(target: griffe.Object) -> list[griffe.DocstringSection]:
    assert target.docstring is not None
    return target.docstring.parse(
        "google", warnings=False, returns_named_value=False, returns_multiple_items=False, trim_doctest_flags=True
    )


def _described(target: griffe.Object) -> dict[str, str]:
    """Return what the docstring of a class says of its attributes."""
    sections = _sections(target) if isinstance(target, griffe.Class) and target.docstring else []
    kind = griffe.DocstringSectionKind.attributes
    return {item.name: item.description for section in sections if section.kind is kind for item in section.value}


def _comment(target: griffe.Object) -> str:
    """Return the ``#:`` comment above a constant."""
    if target.lineno is None or not isinstance(target.filepath, Path):
        return ""
    lines = target.filepath.read_text("utf-8").splitlines()[: target.lineno - 1]
    above = [*itertools.takewhile(lambda line: line.strip().startswith("#:"), reversed(lines))]
    return "\n".join(line.strip().removeprefix("#:").strip() for line in reversed(above))


def _role(target: griffe.Object) -> str:
    if isinstance(target, griffe.Class):
        return ":py:class:"
    return ":py:func:" if isinstance(target, griffe.Function) else ":py:data:"


def _place(target: griffe.Object) -> str:
    return f"{target.relative_filepath}:{target.lineno or 1} ({target.path})"


def _literal(text: str) -> str:
    """Return a base class as a link where it has a page, else as code."""
    return f":py:class:`{text}`" if text.startswith("~") else f"``{text}``"


def _shown(default: str) -> str:
    """Return a default as Sphinx can show it in a signature: a comprehension is left out."""
    try:
        return unparse(ast.parse(default, mode="eval").body)
    except NotImplementedError:
        return "..."


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _field(name: str, text: str) -> str:
    return f":{name}: " + indent(text, _STEP).strip()


def _directive(lines: list[str], body: str) -> str:
    return "\n".join(lines) + "\n\n" + (indent(body, _STEP) + "\n" if body.strip() else "")


def write(folder: Path, pages: dict[str, str]) -> None:
    """Write pages into a folder of their own. Pages that did not change keep their time, so that builds are short."""
    folder.mkdir(exist_ok=True)
    for stale in {path.name for path in folder.glob("*.rst")} - set(pages):
        (folder / stale).unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def _generate(app: Sphinx) -> None:
    source = Path(app.confdir, app.config.api_source).resolve()
    package = griffe.load(app.config.api_package, search_paths=[source], allow_inspection=False, resolve_aliases=True)
    assert isinstance(package, griffe.Module)
    add_unpacked(package)
    reference = Reference(package, app.config.api_leave_out)
    write(Path(app.srcdir, "api"), reference.pages())

    def as_text(_app: Sphinx, _env: BuildEnvironment, node: pending_xref, shown: TextElement) -> TextElement | None:
        """Show as text what has no page here: names of other libraries, and names that are not public."""
        target = node["reftarget"].lstrip("~")
        ours = target.split(".")[0] == package.name
        return shown if node.get("refdomain") == "py" and (not ours or reference.exists(target)) else None

    app.connect("missing-reference", as_text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.add_config_value("api_package", "", "env")
    app.add_config_value("api_source", "../src", "env")
    app.add_config_value("api_leave_out", (), "env")
    app.connect("builder-inited", _generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
