"""Measure the ranking modes of search as ``panglot evaluate`` measures a model: mAP in three settings, and bias.

    python benchmarks/mlqa_dev.py ../shared/data runs/data
    python benchmarks/search_modes.py --on runs/data/mlqa-held --grid      # where the constants were chosen
    python benchmarks/search_modes.py --on xquad-r
    python benchmarks/search_modes.py --on libreoffice-help --languages de,en,es,fi,fr,id,ja,ru,tr,zh --groups 200

The score of every mode is a dot product of changed vectors, so that the same functions measure whole rankings. The mode
*plain* equals ``panglot evaluate``. In the help corpus, a title in one language asks for its page in another. With
``--split FOLDER``, nothing is measured: the groups that ``--groups`` draws are written to FOLDER/held, all others to
FOLDER/train.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import panglot
from _common import RESULTS, make_parser, record, table
from panglot.data.collection import Collection
from panglot.encoders.cache import cached
from panglot.encoders.protocol import Vectors
from panglot.evaluation.figures import SETTINGS, measure
from panglot.evaluation.inputs import encode
from panglot.evaluation.measures import parse
from panglot.search.query_language import query_language
from panglot.search.ranking.modes import HEAD, SHARE, Doubles, LanguageStats, center, head_mean, query_offset

Bools = npt.NDArray[np.bool_]
GRID = [(head, share) for head in (1, 3, 5, 10) for share in (0.3, 0.5, 0.7, 1.0) if (head, share) != (HEAD, SHARE)]
READER_WEIGHTS = (0.02, 0.05, 0.1)
BIAS = ("rank_distance", "self_preference@10", "language_preference_rate", "rank_correlation", "complete@20")


def read(name: str, languages: Sequence[str] | None, data_dir: Path) -> Collection:
    """Return a data set or a saved collection, in some languages."""
    collection = Collection.open(name) if Path(name).is_dir() else panglot.read(name, data_dir=data_dir)
    return collection.select(languages) if languages else collection


def draw_groups(collection: Collection, groups: int, seed: int) -> tuple[Bools, Bools]:
    """Mark the questions and passages of some question groups that are drawn at random."""
    questions, passages = (side["group"].to_numpy() for side in (collection.questions, collection.passages))
    distinct = np.unique(questions)
    chosen = distinct[np.random.default_rng(seed).permutation(len(distinct))[:groups]]
    return np.isin(questions, chosen), np.isin(passages, chosen)


def rankings(
    questions: Vectors, passages: Vectors, collection: Collection, offset: Doubles, *, grid: bool
) -> Iterator[tuple[str, tuple[Vectors, Vectors]]]:
    """Yield each mode with the vectors of questions and passages whose dot product is its score."""
    question_languages = [collection.languages[row] for row in collection.question_language]
    passage_languages = [collection.languages[row] for row in collection.passage_language]
    stats = LanguageStats.of([(passage_languages, passages)], passages.shape[1])
    debiasing = stats.centering(offset)
    centered = center(debiasing, passages, passage_languages, "passage")
    queries = center(debiasing, questions, question_languages, "question")
    one_hot = np.eye(len(collection.languages), dtype=np.float32)
    with_language = np.hstack([centered, one_hot[collection.passage_language]])
    yield "plain", (questions, passages)
    yield "centered", (queries, centered)
    for head, share in [(HEAD, SHARE), *(GRID if grid else ())]:
        usual = [best_mean(queries, centered[collection.passage_language == row], head) for row in range(len(one_hot))]
        name = "balanced" if (head, share) == (HEAD, SHARE) else f"balanced, {share:g} of {head}"
        yield name, (np.hstack([queries, -np.float32(share) * np.stack(usual, axis=1)]), with_language)
    if grid:
        yield "centered, no shift", (center(stats.centering(), questions, question_languages, "question"), centered)
        return
    detected = [query_language(text, collection.languages).code for text in collection.questions["text"].to_pylist()]
    right = np.mean([found == known for found, known in zip(detected, question_languages, strict=True)])
    name = f"centered, language detected ({right:.1%})"
    yield name, (center(debiasing, questions, detected, "question"), centered)
    for weight in READER_WEIGHTS:
        boosted = np.hstack([questions, np.float32(weight) * one_hot[collection.question_language]])
        plain = np.hstack([passages, one_hot[collection.passage_language]])
        yield f"reader of the question's language, {weight:g}", (boosted, plain)


def best_mean(questions: Vectors, passages: Vectors, head: int, block: int = 1024) -> Vectors:
    """Return the mean of the ``head`` best scores of each question, shape ``[questions]``."""
    if not len(passages):
        return np.zeros(len(questions), np.float32)
    starts = range(0, len(questions), block)
    parts = [head_mean((questions[at : at + block] @ passages.T).astype(np.float64), head) for at in starts]
    return np.concatenate(parts).astype(np.float32)


def chosen_figures(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a mode that are reported."""
    present: dict[str, dict[str, Any]] = {setting: figures[setting] or {} for setting in SETTINGS}
    pooled = present["multilingual"]
    return {
        **{
            name: present[setting].get("mAP")
            for name, setting in zip(("mono", "cross", "multi"), SETTINGS, strict=True)
        },
        **{name: pooled.get(name) for name in BIAS},
        "interval": {setting: each.get("interval", {}) for setting, each in present.items()},
        "language_share@10": pooled.get("language_share@10"),
        "pool_share": pooled.get("pool_share"),
        "R@10 of language pairs": present["crosslingual"].get("matrix", {}).get("R@10"),
    }


def main() -> None:
    """Measure the modes, then print and write their figures."""
    options = parse_arguments()
    languages = [code.strip() for code in options.languages.split(",")] if options.languages else None
    collection = read(options.on, languages, options.data_dir)
    if options.groups:
        questions, passages = draw_groups(collection, options.groups, options.seed)
        if options.split:
            collection.keep(~questions, ~passages, options.split / "train")
            collection.keep(questions, passages, options.split / "held")
            return
        collection = collection.keep(questions, np.ones(len(passages), bool))
    print(collection)
    encoder = cached(panglot.load(options.model))
    questions, passages = encode(encoder, collection)
    found: dict[str, Any] = {}
    rows: list[tuple[str, ...]] = []
    measures = [parse("mAP"), parse("R@10")]
    for mode, sides in rankings(questions, passages, collection, query_offset(encoder), grid=options.grid):
        figures = measure(*sides, collection, measures=measures, draws=options.draws, seed=options.seed).figures
        found[mode] = each = chosen_figures(figures)
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


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True)
    parser.add_argument("--on", default="xquad-r", help="data set, or folder of a saved collection")
    parser.add_argument("--model", default="bundled", help="model to measure")
    parser.add_argument("--languages", help="languages to keep, separated by commas")
    parser.add_argument("--groups", type=int, help="number of question groups to draw; default: all")
    parser.add_argument("--split", type=Path, metavar="FOLDER", help="write two collections instead of measuring")
    parser.add_argument("--grid", action="store_true", help="measure other constants of the mode balanced")
    parser.add_argument("--draws", type=int, default=1000, help="number of bootstrap draws")
    parser.add_argument("--seed", type=int, default=0, help="seed of drawn groups and intervals")
    parser.add_argument(
        "--json", type=Path, help=f"file to write the figures to, such as {RESULTS.name}/search_modes.json"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
