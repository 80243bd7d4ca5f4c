"""Engines by the names that the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence

from panglot._errors import PanglotError
from panglot.augment.translation.protocol import Engine

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
        cure = (
            "install one (`apt-get install apertium apertium-eng-spa`, `pip install 'panglot[bergamot]'`),"
            " or name one: " + ", ".join(KINDS)
        )
        raise PanglotError("no translation engine is installed", field="engine", cure=cure)
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
        from panglot.augment.translation.apertium import Apertium

        return Apertium(place or "apertium")
    if name == "bergamot":
        from panglot.augment.translation.bergamot import Bergamot

        return Bergamot()
    if name in ("ctranslate2", "libretranslate", "chat") and not place:
        kind = next(kind for kind in KINDS if kind.startswith(name))
        raise PanglotError(f"the engine {name} needs a place", field="engine", cure=f"write {kind}")
    if name == "ctranslate2":
        from panglot.augment.translation.ctranslate2 import CTranslate2

        return CTranslate2(place)
    if name == "libretranslate":
        from panglot.augment.translation.libretranslate import LibreTranslate

        return LibreTranslate(place)
    if name == "chat":
        from panglot.augment.translation.chat import Chat

        return Chat(place)
    raise PanglotError(f"unknown engine {text!r}", field="engine", cure=f"choose auto, {', '.join(KINDS)}")
