"""Turn texts into unit vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Imported now and not on first use, because the submodule of the same name would take its place.
from panglot.encoders.load import load

if TYPE_CHECKING:
    from panglot.encoders.cache import Cached
    from panglot.encoders.protocol import Encoder, Side, Vectors

__all__ = ["Cached", "Encoder", "Side", "Vectors", "load"]


def __getattr__(name: str) -> object:
    # Importing on first use keeps `import panglot` fast.
    from importlib import import_module

    homes = {"Cached": "cache", "Encoder": "protocol", "Side": "protocol", "Vectors": "protocol"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
