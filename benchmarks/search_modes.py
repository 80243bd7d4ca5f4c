"""The ranking modes of search, measured as `panglot evaluate` measures a model: mAP in three settings, and bias.

    python benchmarks/mlqa_dev.py ../shared/data runs/data
    python benchmarks/search_modes.py --on runs/data/mlqa-held --grid      # where the constants were chosen
    python benchmarks/search_modes.py --on xquad-r
    python benchmarks/search_modes.py --on libreoffice-help --languages de,en,es,fi,fr,id,ja,ru,tr,zh --groups 200

Every mode's score is a dot product of moved vectors, so that whole rankings are measured, by the same functions; plain
is `panglot evaluate`. Help pages: a title in one language asks for its page in another. With ``--split FOLDER`` nothing
is measured: FOLDER/train is written, all groups but those that ``--groups`` draws, and FOLDER/held, those.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import panglot
from _common import DATA, RESULTS, record, table
from panglot.data.collection import Collection
from panglot.encoders.cache import cached
from panglot.encoders.protocol import Vectors
from panglot.evaluation.evaluate import encode
from panglot.evaluation.figures import measure
from panglot.evaluation.measures import parse
from panglot.search.query_language import language_of
from panglot.search.ranking.modes import HEAD, SHARE, head_mean
from panglot.search.ranking.stats import Doubles, LanguageStats, center, query_offset

Bools = npt.NDArray[np.bool_]
GRID = [(head, share) for head in (1, 3, 5, 10) for share in (0.3, 0.5, 0.7, 1.0) if (head, share) != (HEAD, SHARE)]
READER_WEIGHTS = (0.02, 0.05, 0.1)
BIAS = ("rank_distance", "self_preference@10", "language_preference_rate", "rank_correlation", "complete@20")


def read(name: str, languages: Sequence[str] | None, data_dir: Path) -> Collection:
    """Return a set in some languages."""
    found = Collection.open(name) if Path(name).is_dir() else panglot.read(name, data_dir=data_dir)
    return found.select(languages) if languages else found


def drawn(collection: Collection, groups: int, seed: int) -> tuple[Bools, Bools]:
    """Mark the questions and passages of some groups drawn at random among those of questions."""
    asked, said = (table["group"].to_numpy() for table in (collection.questions, collection.passages))
    distinct = np.unique(asked)
    chosen = distinct[np.random.default_rng(seed).permutation(len(distinct))[:groups]]
    return np.isin(asked, chosen), np.isin(said, chosen)


def rankings(
    questions: Vectors, passages: Vectors, collection: Collection, shift: Doubles, *, grid: bool
) -> Iterator[tuple[str, tuple[Vectors, Vectors]]]:
    """Yield for each mode the vectors whose dot product is its score."""
    spoken = [collection.languages[row] for row in collection.question_language]
    written = [collection.languages[row] for row in collection.passage_language]
    remedy = LanguageStats.of([(written, passages)], passages.shape[1]).centering(shift)
    centered, asked = center(remedy, passages, written, "passage"), center(remedy, questions, spoken, "question")
    own = np.eye(len(collection.languages), dtype=np.float32)
    spaced = np.hstack([centered, own[collection.passage_language]])
    yield "plain", (questions, passages)
    yield "centered", (asked, centered)
    for head, share in [(HEAD, SHARE), *(GRID if grid else ())]:
        usual = [heads(asked, centered[collection.passage_language == row], head) for row in range(len(own))]
        name = "balanced" if (head, share) == (HEAD, SHARE) else f"balanced, {share:g} of {head}"
        yield name, (np.hstack([asked, -np.float32(share) * np.stack(usual, axis=1)]), spaced)
    if grid:
        bare = LanguageStats.of([(written, passages)], passages.shape[1]).centering()
        yield "centered, no shift", (center(bare, questions, spoken, "question"), centered)
        return
    detected = [language_of(text, collection.languages) for text in collection.questions["text"].to_pylist()]
    right = np.mean([found == known for found, known in zip(detected, spoken, strict=True)])
    yield f"centered, language detected ({right:.1%})", (center(remedy, questions, detected, "question"), centered)
    for weight in READER_WEIGHTS:
        yield (
            f"reader of the question's language, {weight:g}",
            (
                np.hstack([questions, np.float32(weight) * own[collection.question_language]]),
                np.hstack([passages, own[collection.passage_language]]),
            ),
        )


def heads(questions: Vectors, passages: Vectors, head: int, block: int = 1024) -> Vectors:
    """Return the mean of each question's best scores among some passages, shape ``[questions]``."""
    if not len(passages):
        return np.zeros(len(questions), np.float32)
    starts = range(0, len(questions), block)
    parts = [head_mean((questions[at : at + block] @ passages.T).astype(np.float64), head) for at in starts]
    return np.concatenate(parts).astype(np.float32)


def shortened(figures: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a mode."""
    many = figures["multilingual"] or {}
    found: dict[str, Any] = {
        name: (figures[setting] or {}).get("mAP")
        for name, setting in (("mono", "monolingual"), ("cross", "crosslingual"), ("multi", "multilingual"))
    }
    found |= {name: many.get(name) for name in BIAS}
    found["interval"] = {
        setting: (figures[setting] or {}).get("interval", {})
        for setting in ("monolingual", "crosslingual", "multilingual")
    }
    found["language_share@10"], found["pool_share"] = many.get("language_share@10"), many.get("pool_share")
    cross = figures["crosslingual"] or {}
    found["R@10 of language pairs"] = cross.get("matrix", {}).get("R@10")
    return found


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    languages = [code.strip() for code in options.languages.split(",")] if options.languages else None
    collection = read(options.on, languages, options.data_dir)
    if options.groups:
        asked, said = drawn(collection, options.groups, options.seed)
        if options.split:
            collection.keep(~asked, ~said, options.split / "train")
            collection.keep(asked, said, options.split / "held")
            return
        collection = collection.keep(asked, np.ones(len(said), bool))
    print(collection)
    encoder = cached(panglot.load(options.model))
    questions, passages = encode(encoder, collection)
    found: dict[str, Any] = {}
    rows: list[tuple[str, ...]] = []
    ranked = rankings(questions, passages, collection, query_offset(encoder), grid=options.grid)
    for mode, (asked, answers) in ranked:
        figures = measure(
            asked, answers, collection, measures=[parse("mAP"), parse("R@10")], draws=options.draws, seed=options.seed
        ).figures
        found[mode] = each = shortened(figures)
        rows.append(
            (mode, *(f"{each[name]:.3f}" for name in ("mono", "cross", "multi")),
             f"{each['rank_distance']:,.0f}", f"{each['self_preference@10']:.2f}",
             f"{each['language_preference_rate']:.3f}", f"{each['rank_correlation']:.3f}")
        )  # fmt: skip
        print(" | ".join(rows[-1]), flush=True)
    head = ("mode", "mono", "cross", "multi", "rank distance", "self-preference@10", "own first", "rank correlation")
    print(table(head, rows))
    record(
        options.json, on=collection.name, digest=collection.digest, model=options.model, questions=len(questions),
        passages=len(passages), modes=found,
    )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--on", default="xquad-r", help="a known set, or a collection's folder")
    found.add_argument("--model", default="bundled")
    found.add_argument("--languages", help="keep these only")
    found.add_argument("--groups", type=int, help="questions of so many groups only, drawn")
    found.add_argument("--split", type=Path, metavar="FOLDER", help="write two sets instead of measuring")
    found.add_argument("--grid", action="store_true", help="what balancing could take away, to choose by")
    found.add_argument("--draws", type=int, default=1000)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--data-dir", type=Path, default=DATA)
    found.add_argument("--json", type=Path, help=f"such as {RESULTS.name}/search_modes.json")
    return found


if __name__ == "__main__":
    main()
