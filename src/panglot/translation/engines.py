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
        raise EngineError(f"{name} was sent {expected} sentences and gave {len(found)} back", hint="try again")
    texts = [" ".join(text.split()) for text in found if isinstance(text, str)]
    if len(texts) != expected or not all(texts):
        raise EngineError(f"{name} gave a blank or no text for a sentence", hint="try again")
    return texts


KINDS = ("apertium", "bergamot", "ctranslate2=FOLDER", "libretranslate=URL", "chat=URL#MODEL")


def open_engines(names: Sequence[str]) -> list[Engine]:
    """Return the engines of ``NAME`` or ``NAME=PLACE``; ``auto`` is those installed: Bergamot, then Apertium.

    Raises:
        PanglotError: An unknown name, an engine that is not installed, or none at all.
    """
    engines: list[Engine] = []
    for name in names or ("auto",):
        engines.extend(_installed() if name == "auto" else [_open(name)])
    if not engines:
        hint = (
            "install one (`apt-get install apertium apertium-eng-spa`, `pip install 'panglot[bergamot]'`),"
            " or name one: " + ", ".join(KINDS)
        )
        raise PanglotError("no translation engine is installed", field="engine", hint=hint)
    return engines


def _installed() -> list[Engine]:
    found: list[Engine] = []
    for name in ("bergamot", "apertium"):
        try:
            found.append(_open(name))
        except PanglotError:
            continue
    return found


def _open(text: str) -> Engine:
    name, _, place = text.partition("=")
    if name == "apertium":
        from panglot.translation.local import Apertium

        return Apertium(place or "apertium")
    if name == "bergamot":
        from panglot.translation.local import Bergamot

        return Bergamot()
    if name in ("ctranslate2", "libretranslate", "chat") and not place:
        kind = next(kind for kind in KINDS if kind.startswith(name))
        raise PanglotError(f"the engine {name} needs a place", field="engine", hint=f"write {kind}")
    if name == "ctranslate2":
        from panglot.translation.local import CTranslate2

        return CTranslate2(place)
    if name == "libretranslate":
        from panglot.translation.remote import LibreTranslate

        return LibreTranslate(place)
    if name == "chat":
        from panglot.translation.remote import Chat

        return Chat(place)
    raise PanglotError(f"unknown engine {text!r}", field="engine", hint=f"choose auto, {', '.join(KINDS)}")
