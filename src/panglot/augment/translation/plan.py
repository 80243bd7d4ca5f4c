"""Which rows of a collection are to be translated, from which version, by which route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.augment.translation import routes
from panglot.augment.translation.protocol import Engine
from panglot.augment.translation.routes import Route
from panglot.corpus.collection import Collection
from panglot.corpus.language import canonical

Side = Literal["question", "passage"]


@dataclass(frozen=True)
class Want:
    """One text and the route that it goes.

    Attributes:
        side: In which table it stands.
        row: Its row there.
        route: From its language into the wanted one.
    """

    side: Side
    row: int
    route: Route


def plan(
    collection: Collection,
    targets: Sequence[str],
    engines: Sequence[Engine],
    *,
    sources: Sequence[str] | None = None,
    questions_only: bool = False,
) -> list[Want]:
    """Return what is wanted, by target language, then side, then row.

    A group that has a version in the target language is left as it is. Of several versions, one with the shortest
    route is translated, English before others; where a group has several texts in that language, all of them.

    Args:
        collection: What is there.
        targets: Codes of the languages to translate into.
        engines: In the order of preference.
        sources: Translate from these languages only.
        questions_only: Leave the passages in their languages.

    Raises:
        PanglotError: A language without a route from any version of some group, or nothing to translate.
    """
    wanted = [canonical(code) for code in targets]
    allowed = {canonical(code) for code in sources} if sources else set(collection.languages)
    if strange := sorted(allowed - set(collection.languages)):
        there = ", ".join(collection.languages)
        raise PanglotError(
            f"{collection.name} has no text in {', '.join(strange)}", field="from", cure=f"it has {there}"
        )
    known: dict[tuple[str, ...], Route | None] = {}
    found: list[Want] = []
    for target in dict.fromkeys(wanted):
        known.clear()
        sides: tuple[tuple[Side, pa.Table], ...] = (
            ("question", collection.questions),
            ("passage", collection.passages),
        )
        for side, table in sides[: 1 if questions_only else 2]:
            languages: list[str] = table["language"].to_pylist()
            groups: list[str] = table["group"].to_pylist()
            versions: dict[str, dict[str, None]] = {}
            for group, language in zip(groups, languages, strict=True):
                versions.setdefault(group, {})[language] = None
            for row, (group, language) in enumerate(zip(groups, languages, strict=True)):
                has = tuple(code for code in versions[group] if code in allowed)
                if target in versions[group] or not has:
                    continue
                if has not in known:
                    known[has] = routes.nearest(engines, has, target)
                route = known[has]
                if route is None:
                    raise routes.missing(engines, has, target)
                if route.source == language:
                    found.append(Want(side, row, route))
    if not found:
        cure = "name other languages with --to"
        raise PanglotError(f"{collection.name} has all of {', '.join(wanted)} already", field="to", cure=cure)
    return found
