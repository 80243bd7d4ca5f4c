"""The interface of a translation engine, and how engines are opened by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from panglot._errors import PanglotError

#: What ``--engine`` takes.
KINDS = ("apertium", "bergamot", "ctranslate2=FOLDER", "libretranslate=URL", "chat=URL#MODEL")


class Engine(Protocol):
    """A translation engine.

    Attributes:
        name: Its name in the records.
        batch_size: Maximum number of sentences per call.
    """

    name: str
    batch_size: int

    def serves(self, source: str, target: str) -> bool:
        """Return whether it translates directly between two canonical BCP 47 codes."""
        ...

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
    """Return the answer of an engine if it is one text per sentence.

    Raises:
        EngineError: It is not.
    """
    if len(found) != expected:
        raise EngineError(f"{name} was sent {expected} sentences and returned {len(found)}", hint="try again")
    texts = [" ".join(text.split()) for text in found if isinstance(text, str)]
    if len(texts) != expected or not all(texts):
        raise EngineError(f"{name} returned a blank or no text for a sentence", hint="try again")
    return texts


def open_engines(names: Sequence[str]) -> list[Engine]:
    """Return the engines of ``NAME`` or ``NAME=PLACE``. ``auto`` opens those that are installed, Bergamot first.

    Raises:
        PanglotError: A name is unknown, an engine is not installed, or there is none at all.
    """
    engines: list[Engine] = []
    for name in names or ["auto"]:
        engines += _installed() if name == "auto" else [_open(name)]
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
    # Imported here: engines may only import this module, which `translate` needs before any engine is chosen.
    from panglot.translation import local, remote

    name, _, place = text.partition("=")
    if name == "apertium":
        return local.Apertium(place or "apertium")
    if name == "bergamot":
        return local.Bergamot()
    with_place = {"ctranslate2": local.CTranslate2, "libretranslate": remote.LibreTranslate, "chat": remote.Chat}
    if name not in with_place:
        raise PanglotError(f"unknown engine {text!r}", field="engine", hint=f"choose auto, {', '.join(KINDS)}")
    if not place:
        kind = next(kind for kind in KINDS if kind.startswith(name))
        raise PanglotError(f"the engine {name} needs a place, got none", field="engine", hint=f"write {kind}")
    return with_place[name](place)
