"""The kinds of the fields of metadata in a store in Milvus, which has no lock and does not count values by kind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from panglot.search.document import MIXED, check_kinds, join_kinds, kind_of, kinds_of
from panglot.search.storage.milvus_client import FRESH, key, ranges, safe

if TYPE_CHECKING:
    from panglot.search.document import Document


class FieldKinds:
    """The kinds of fields, as they are noted in the collection that describes a store.

    A note outlives the documents that made it. Whatever the kinds would refuse is therefore compared with the documents
    that are there, until one is found that the note is right about.

    Args:
        about: The collection with the notes.
        main: The collection with the documents.
        query: Returns rows of a collection for an expression, with some columns.
        note: Writes values by key into the first.
    """

    def __init__(
        self, about: str, main: str, query: Callable[[str, str, Sequence[str]], list[dict[str, Any]]],
        note: Callable[[Mapping[str, str]], None],
    ) -> None:  # fmt: skip
        self._about, self._main, self._query, self._note = about, main, query, note
        self._known: tuple[float, dict[str, str]] = 0.0, {}
        self.filterable = True  # Stores of the first format are not.

    def get(self) -> dict[str, str]:
        """Return the kind of each field, as it was a moment ago."""
        now = time.monotonic()
        if not self._known[0] or now - self._known[0] > FRESH:
            rows = self._query(self._about, 'key >= "field/" and key < "field0"', ("value",))
            noted = (json.loads(row["value"]) for row in rows)
            self._known = now, {name: kind for name, kind in noted if kind}
        return dict(self._known[1])

    def add(self, documents: Sequence[Document]) -> None:
        """Note the kinds of fields that documents add or widen."""
        self._write(kinds_of(documents, self.get()))

    def check(self, documents: Sequence[Document], keys: Collection[str]) -> None:
        """Refuse documents that do not fit those that stay if they replace the ones with these keys."""
        if not self.filterable:
            return
        # Another process may have noted a kind a moment ago.
        self._known = 0.0, {}
        known = self.get()
        joined = kinds_of(documents, known)
        doubtful = [name for name, kind in known.items() if kind != MIXED and joined[name] != kind]
        found = self._recounted(doubtful, known, keys)
        check_kinds(documents, found)
        self._write(found)

    def removed(self, texts: Iterable[str]) -> None:
        """Note which fields are no longer mixed, after documents with these metadata were removed."""
        known = self.get()
        fields = {name for text in texts if text for name in json.loads(text)}
        self._write(self._recounted([name for name in fields if known.get(name) == MIXED], known, ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be known of documents that are replaced: their stamp, and their metadata if a field is mixed."""
        return ("stamp", "fields") if self.filterable and MIXED in self.get().values() else ("stamp",)

    def _recounted(self, names: Iterable[str], known: Mapping[str, str], without: Collection[str]) -> dict[str, str]:
        """Return kinds with those of some fields found anew, in documents whose keys are not in ``without``."""
        found = dict(known)
        for name in names:
            del found[name]
            for value in self._values(name, without):
                kind = kind_of(value)
                found[name] = join_kinds(found.get(name, kind), kind)
                if found[name] == known[name]:
                    break
        return found

    def _values(self, name: str, without: Collection[str]) -> Iterator[object]:
        chosen = f'(exists metadata["{safe(name)}"])'
        count = self._query(self._main, chosen, ("count(*)",))[0]["count(*)"]
        for part in ranges(count):
            for row in self._query(self._main, f"{chosen} and {part}", ("key", "fields")):
                if row["key"] not in without:
                    yield json.loads(row["fields"])[name]

    def _write(self, kinds: Mapping[str, str]) -> None:
        """Note what has changed. A field that is gone gets an empty kind."""
        known = self.get()
        new = {name: kinds.get(name, "") for name in {**known, **kinds} if known.get(name) != kinds.get(name)}
        self._note({f"field/{key(name)}": json.dumps([name, kind]) for name, kind in new.items()})
        self._known = time.monotonic(), dict(kinds)
