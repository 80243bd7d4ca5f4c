"""The interface of a translation engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from panglot._errors import PanglotError


class Engine(Protocol):
    """A translation engine."""

    name: str  # Its name in the records.
    batch_size: int  # Maximum number of sentences per call.

    def serves(self, source: str, target: str) -> bool:
        """Return whether it translates directly between two canonical BCP 47 codes."""
        return target in (self.targets(source) or ())

    def targets(self, source: str) -> Sequence[str] | None:
        """Return the languages it translates into from ``source``, None if only :meth:`serves` can answer."""
        ...

    def version(self, source: str, target: str) -> str:
        """Return what its output depends on beside the text: releases, digests of models, addresses."""
        ...

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Return one translation per sentence, in order. A sentence has no line breaks and is never blank.

        Raises:
            EngineError: These sentences were not translated. Others may be.
            PanglotError: Nothing can be translated until the user fixes something.
        """
        ...


class EngineError(PanglotError):
    """An engine gave no usable answer for a batch."""


def check_answer(found: Sequence[object], expected: int, name: str) -> list[str]:
    """Return the answer of an engine as one text per sentence, or raise an :class:`EngineError`."""
    if len(found) != expected:
        raise EngineError(f"{name} was sent {expected} sentences and returned {len(found)}", hint="try again")
    texts = [" ".join(text.split()) for text in found if isinstance(text, str)]
    if len(texts) != expected or not all(texts):
        raise EngineError(f"{name} returned a blank or no text for a sentence", hint="try again")
    return texts
