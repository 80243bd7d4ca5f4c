"""Documents, and their scores in a store or a ranking."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

Value = str | int | float | bool | None
"""What a metadata field may hold."""


@dataclass(frozen=True)
class Document:
    """A text that can be found.

    Attributes:
        id: Unique within an index.
        text: What is searched and shown.
        title: Encoded in front of the text, if there is one.
        language: Canonical BCP 47. It is detected if the source does not name it.
        group: Shared by all translations of one text. Empty if it has none.
        metadata: Further fields, kept as they are.
    """

    id: str
    text: str
    title: str = ""
    language: str = ""
    group: str = ""
    metadata: Mapping[str, Value] = field(default_factory=dict[str, Value])

    @property
    def full_text(self) -> str:
        r"""Title and text, as they are encoded.

        >>> Document("1", "Click Print.", "Printing").full_text
        'Printing\nClick Print.'
        """
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def flat_metadata(self) -> dict[str, Value]:
        """Everything but id and text in one dictionary, which is where other libraries look for it."""
        return {**self.metadata, "title": self.title, "language": self.language, "group": self.group}

    def only(self, fields: Collection[str]) -> Document:
        """Return it with only these of text, title and metadata. Id, language and group stay.

        >>> Document("1", "Click Print.", "Printing", "en", metadata={"page": 3, "year": 2024}).only(["title", "year"])
        Document(id='1', text='', title='Printing', language='en', group='', metadata={'year': 2024})
        """
        metadata = {name: value for name, value in self.metadata.items() if name in fields}
        texts = {name: getattr(self, name) if name in fields else "" for name in ("text", "title")}
        return replace(self, **texts, metadata=metadata)


class ScoredDocument(NamedTuple):
    """The score of a document for a query, from the store to the result. Rankings are lists of these, best first."""

    id: str
    score: float  # A store gives the dot product of two unit vectors, which is their cosine.
    language: str
    group: str = ""
    explanation: Mapping[str, float] = {}  # What the score consists of. See panglot.search.request.Hit.
    versions: Mapping[str, str] = {}  # After collapsing, the ids of the group's documents by language, this one first.
    matched: str = ""  # After collapsing, the id of the version that the score is of. Empty if it is this one.
