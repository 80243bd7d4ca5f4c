"""Multilingual dense retrieval: hybrid batch training, three-setting evaluation, language bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from panglot._environment import __version__ as __version__
    from panglot.data.collection import Collection
    from panglot.datasets.registry import read
    from panglot.debiasing.debias import debias
    from panglot.encoders.load import load
    from panglot.encoders.protocol import Encoder
    from panglot.evaluation.evaluate import Evaluation, compare, evaluate
    from panglot.evaluation.inputs import mteb_model
    from panglot.mining.mine import mine
    from panglot.search.index import Index
    from panglot.training.loop import train
    from panglot.training.selection import average
    from panglot.training.settings import Settings

__all__ = [
    "Collection",
    "Encoder",
    "Evaluation",
    "Index",
    "PanglotError",
    "Settings",
    "average",
    "compare",
    "debias",
    "evaluate",
    "load",
    "mine",
    "mteb_model",
    "read",
    "train",
]

_HOMES = {
    "Collection": "data.collection",
    "Encoder": "encoders.protocol",
    "Evaluation": "evaluation.evaluate",
    "Index": "search.index",
    "Settings": "training.settings",
    "__version__": "_environment",
    "average": "training.selection",
    "compare": "evaluation.evaluate",
    "debias": "debiasing.debias",
    "evaluate": "evaluation.evaluate",
    "load": "encoders.load",
    "mine": "mining.mine",
    "mteb_model": "evaluation.inputs",
    "read": "datasets.registry",
    "train": "training.loop",
}


def __getattr__(name: str) -> object:
    # Importing on first use keeps `import panglot` fast.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'panglot' has no attribute {name!r}")
    return getattr(import_module(f"panglot.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
