"""Which module reads a known set, and which wishes it can fulfil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from panglot.data.collection import Collection
from panglot.datasets.card import DatasetCard


@dataclass(frozen=True)
class DatasetSpec:
    """What exactly of a known set is wanted."""

    card: DatasetCard
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
    """A function of a module and the wishes that it takes by name, beside ``name`` and ``about``."""

    module: str
    function: str
    wishes: tuple[str, ...] = ()

    def __call__(self, folder: Path, wish: DatasetSpec) -> Collection:
        """Read the set that lies in ``folder``."""
        read = getattr(import_module(f"panglot.datasets.{self.module}"), self.function)
        options = {key: getattr(wish, key) for key in self.wishes}
        return read(folder, name=wish.name, about=wish.about, **options)


def _tatoeba(folder: Path, wish: DatasetSpec) -> Collection:
    from panglot.datasets import translations

    return translations.read_tatoeba(folder, wish.part, name=wish.name, about=wish.about)


def _tydiqa_large(folder: Path, wish: DatasetSpec) -> Collection:
    from panglot.datasets import tydiqa

    return tydiqa.read_tydiqa_large(folder, wish.others, name=wish.name, about=wish.about)


_SQUAD = ("part", "candidates", "context")
_CORPUS = ("part", "candidates", "languages")
READERS = {
    "xquad-r": Reader("lareqa", "read_lareqa", ("candidates", "context")),
    "mlqa-r": Reader("lareqa", "read_lareqa", ("candidates", "context")),
    "mlqa": Reader("squad_family", "read_mlqa", _SQUAD),
    "tydiqa-goldp": Reader("tydiqa", "read_tydiqa", _SQUAD),
    "squad2-en-fi": Reader("squad_family", "read_squad_en_fi"),
    "xor-questions": Reader("questions", "read_xor_questions"),
    "libreoffice-help": Reader("libreoffice", "read_libreoffice", ("part",)),
    "ntrex-128": Reader("translations", "read_ntrex", _CORPUS),
    "sib-200": Reader("flores", "read_sib200", ("part", "languages")),
    "tatoeba-112": _tatoeba,
    "tydiqa-goldp-large": _tydiqa_large,
    "tydiqa-goldp-mt": Reader("tydiqa", "read_tydiqa_mt", ("candidates", "context")),
    "miracl": Reader("judged", "read_miracl", _CORPUS),
    "mrtydi": Reader("judged", "read_mrtydi", _CORPUS),
    "mmarco": Reader("judged", "read_mmarco", _CORPUS),
    "mkqa": Reader("questions", "read_mkqa", ("candidates",)),
    "xor-tydi": Reader("questions", "read_xor_tydi", ("part",)),
    "tydiqa-primary": Reader("tydiqa", "read_tydiqa_primary", ("part", "languages")),
    "natural-questions": Reader("squad_family", "read_natural_questions", _SQUAD),
    "belebele": Reader("flores", "read_belebele", ("languages",)),
    "flores-200": Reader("flores", "read_flores", ("part", "languages")),
    "afriqa": Reader("questions", "read_afriqa", ("part",)),
    "iapp-wiki-qa-th": Reader("squad_family", "read_iapp", _SQUAD),
    "enelpi-tr": Reader("squad_family", "read_enelpi", _SQUAD),
}

#: Sets of which only the wanted languages are read: a hundred make ten thousand pairs a sentence, or too many passages.
SELECTING = {"ntrex-128", "sib-200", "miracl", "mrtydi", "mmarco", "tydiqa-primary", "belebele", "flores-200"}
