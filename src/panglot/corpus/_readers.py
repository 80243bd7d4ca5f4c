"""Which module reads a known set, and which wishes it can fulfil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from panglot.corpus.card import Card
from panglot.corpus.collection import Collection


@dataclass(frozen=True)
class Wish:
    """What exactly of a known set is wanted."""

    card: Card
    part: str
    candidates: str
    context: bool
    languages: tuple[str, ...] = ()
    others: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables call it: the default part goes without saying."""
        return self.card.name if self.part in ("", *self.card.parts[:1]) else f"{self.card.name}:{self.part}"

    @property
    def about(self) -> dict[str, str]:
        """What the card knows."""
        card = self.card
        test_only = "yes" if card.is_test_only(self.part) else "no"
        return {"title": card.title, "licence": card.licence, "source": card.source, "part": self.part,
                "test_only": test_only}  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """A module's ``read`` and the wishes that it takes by name, beside ``name`` and ``about``."""

    module: str
    wishes: tuple[str, ...] = ()

    def __call__(self, folder: Path, wish: Wish) -> Collection:
        """Read the set that lies in ``folder``."""
        read = import_module(f"panglot.corpus.{self.module}").read
        options = {key: getattr(wish, key) for key in self.wishes}
        return read(folder, name=wish.name, about=wish.about, **options)


def _tatoeba(folder: Path, wish: Wish) -> Collection:
    from panglot.corpus import tatoeba

    return tatoeba.read(folder, wish.part, name=wish.name, about=wish.about)


def _tydiqa_large(folder: Path, wish: Wish) -> Collection:
    from panglot.corpus import tydiqa_large

    return tydiqa_large.read(folder, wish.others, name=wish.name, about=wish.about)


_SQUAD = ("part", "candidates", "context")
_CORPUS = ("part", "candidates", "languages")
READERS = {
    "xquad-r": Reader("lareqa", ("candidates", "context")),
    "mlqa-r": Reader("lareqa", ("candidates", "context")),
    "mlqa": Reader("mlqa", _SQUAD),
    "tydiqa-goldp": Reader("tydiqa", _SQUAD),
    "squad2-en-fi": Reader("squad_en_fi"),
    "xor-questions": Reader("xor_questions"),
    "libreoffice-help": Reader("libreoffice", ("part",)),
    "ntrex-128": Reader("ntrex", _CORPUS),
    "sib-200": Reader("sib200", ("part", "languages")),
    "tatoeba-112": _tatoeba,
    "tydiqa-goldp-large": _tydiqa_large,
    "tydiqa-goldp-mt": Reader("tydiqa_mt", ("candidates", "context")),
    "miracl": Reader("miracl", _CORPUS),
    "mrtydi": Reader("mrtydi", _CORPUS),
    "mmarco": Reader("mmarco", _CORPUS),
    "mkqa": Reader("mkqa", ("candidates",)),
    "xor-tydi": Reader("xor_tydi", ("part",)),
    "tydiqa-primary": Reader("tydiqa_primary", ("part", "languages")),
    "natural-questions": Reader("natural_questions", _SQUAD),
    "belebele": Reader("belebele", ("languages",)),
    "flores-200": Reader("flores", ("part", "languages")),
    "afriqa": Reader("afriqa", ("part",)),
    "iapp-wiki-qa-th": Reader("iapp", _SQUAD),
    "enelpi-tr": Reader("enelpi", _SQUAD),
}

#: Sets of which only the wanted languages are read: a hundred make ten thousand pairs a sentence, or too many passages.
SELECTING = {"ntrex-128", "sib-200", "miracl", "mrtydi", "mmarco", "tydiqa-primary", "belebele", "flores-200"}
