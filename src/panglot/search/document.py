"""What is indexed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | int | float | bool | None
"""What a metadata field may hold."""


@dataclass(frozen=True)
class Document:
    """One passage to be found.

    Attributes:
        id: Its only name in an index.
        text: What is searched and shown.
        title: Stands before the text where there is one, and is encoded with it.
        language: Canonical BCP 47, detected where nobody says it.
        group: All translations of one passage share it; empty: it has none.
        fields: Further fields, kept as they are.
    """

    id: str
    text: str
    title: str = ""
    language: str = ""
    group: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict[str, Value])

    @property
    def passage(self) -> str:
        r"""What is encoded.

        >>> Document("1", "Click Print.", "Printing").passage
        'Printing\nClick Print.'
        """
        return f"{self.title}\n{self.text}" if self.title else self.text
