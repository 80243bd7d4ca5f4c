"""Code-switching in training: which rows are switched, and how much of their text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot.augment.codeswitch import CodeSwitch, Switched, coverage, english_texts, switch
from panglot.augment.lexicons import Lexicon, read
from panglot.batching.policy import Batch, Bools, is_english
from panglot.batching.table import TrainingTable
from panglot.data.collection import Collection
from panglot.training.settings import Settings

# Texts on which coverage is estimated before training, and languages that are listed.
_LOOKED_AT, _NAMED = 200, 12


@dataclass(frozen=True)
class Switching:
    """How texts are code-switched: a word with a translation in the lexicon is replaced with probability ``share``."""

    lexicon: Lexicon
    mode: CodeSwitch
    share: float
    seed: int

    @classmethod
    def from_settings(cls, settings: Settings, sources: Sequence[TrainingTable]) -> Switching:
        """Return the code-switching that a recipe asks for, or refuse training sets without English rows."""
        if not any(_english_rows(source) for source in sources):
            problem = f"no row of {', '.join(source.name for source in sources)} is English on both sides"
            hint = "add a set with English questions and passages, or leave code_switch at none"
            raise PanglotError(problem, field="code_switch", hint=hint)
        lexicon = read(settings.lexicons, settings.code_switch_languages, settings.data_dir)
        return cls(lexicon, settings.code_switch, settings.code_switch_share, settings.seed)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know before training, one sentence each."""
        missing, languages = self.lexicon.missing, len(self.lexicon.languages)
        if not missing:
            return ()
        total = languages + len(missing)
        return (f"code-switching uses {languages} of {total} languages, as no lexicon has {', '.join(missing)}",)

    def coverage_note(self, collections: Iterable[Collection]) -> str:
        """Return a sentence on how much of the English training text the lexicons cover, estimated on some texts."""
        texts = [text for collection in collections for text in english_texts(collection, _LOOKED_AT)]
        found = coverage(texts, self.lexicon)
        ranked = sorted(found.covered, key=lambda code: (-found.covered[code], code))
        some = ranked if len(ranked) <= _NAMED else [*ranked[: _NAMED - 1], ranked[-1]]
        by_language = ", ".join(f"{code} {found.share(code):.0%}" for code in some)
        return (
            f"code-switching: the lexicons cover {found.share():.0%} of {found.words:,} English words looked at "
            f"({by_language}{'' if some == ranked else f' of {len(ranked)} languages, the best and the last'})"
        )

    def __call__(self, text: str, *name: str | int) -> Switched:
        """Return the text with words replaced; ``name`` (step, source, side, row) seeds the draws."""
        return switch(text, self.lexicon, mode=self.mode, share=self.share, name=(self.seed, *name))


def english_rows(batch: Batch, source: TrainingTable) -> Bools:
    """Mark the rows of a batch whose question and passage are both English, shape ``[B]``.

    Only rows in one language are switched, so rows in two languages and whole groups are not marked.
    """
    if batch.positive is not None:
        return np.zeros(len(batch.questions), bool)
    english = np.array([is_english(code) for code in source.languages])
    return english[batch.question_languages] & english[batch.passage_languages]


def switching_metrics(texts: Iterable[Switched]) -> dict[str, Any]:
    """Return the log's figures of a step's switched texts; nothing if they have no words.

    ``switched_share`` is the share of replaced words. ``switched`` has the number of words, of those with an entry, and
    of those replaced, per language.
    """
    total = _total(texts)
    if not total.words:
        return {}
    replaced = dict(sorted(total.replaced.items()))
    numbers = {"words": total.words, "covered": total.covered, "replaced": replaced}
    return {"switched_share": sum(replaced.values()) / total.words, "switched": numbers}


def total_switched(log: Path) -> Switched:
    """Return the sums over the steps of a run's ``log.jsonl``."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else ()
    steps = (json.loads(line).get("switched") for line in lines)
    return _total(Switched("", **numbers) for numbers in steps if numbers)


def _total(texts: Iterable[Switched]) -> Switched:
    words = covered = 0
    replaced: Counter[str] = Counter()
    for text in texts:
        words, covered = words + text.words, covered + text.covered
        replaced.update(text.replaced)
    return Switched("", words, covered, replaced)


def _english_rows(source: TrainingTable) -> int:
    english = [x for x, code in enumerate(source.languages) if is_english(code)]
    both = (source.question[:, english] >= 0).any(1) & (source.passage[:, english] >= 0).any(1)
    return int(both.sum()) if source.mono else 0
