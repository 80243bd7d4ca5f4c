"""The engine: what turns sentences of one language into another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from panglot._errors import PanglotError


class Engine(Protocol):
    """A translation engine.

    Attributes:
        name: What the records call it.
        batch_size: How many sentences one call may hold.
    """

    name: str
    batch_size: int

    def serves(self, source: str, target: str) -> bool:
        """Whether it translates directly between two canonical BCP 47 codes."""
        ...

    def targets(self, source: str) -> Sequence[str] | None:
        """The languages that it translates into from ``source``; None: it cannot tell, ask :meth:`serves`."""
        ...

    def version(self, source: str, target: str) -> str:
        """What, beside the text, its output depends on in this direction: releases, digests of models, addresses."""
        ...

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Return one translation for each sentence, in order; a sentence has no line breaks and is never blank.

        Raises:
            EngineError: These sentences were not translated; others may be.
            PanglotError: Nothing can be translated until the user mends something.
        """
        ...


class EngineError(PanglotError):
    """An engine gave no usable answer for a batch."""


def checked(found: Sequence[object], expected: int, name: str) -> list[str]:
    """Return the answer of an engine if it is one text for each sentence.

    Raises:
        EngineError: It is not.
    """
    if len(found) != expected:
        raise EngineError(f"{name} was sent {expected} sentences and gave {len(found)} back", cure="try again")
    texts = [" ".join(text.split()) for text in found if isinstance(text, str)]
    if len(texts) != expected or not all(texts):
        raise EngineError(f"{name} gave a blank or no text for a sentence", cure="try again")
    return texts
