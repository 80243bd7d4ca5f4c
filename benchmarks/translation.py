"""Measure machine-translated training data: translation speed, share of filtered rows, and accuracy after training.

    python benchmarks/translation.py                    # all stages; after an interruption, the same command continues
    python benchmarks/translation.py --data             # draw, translate and filter without training
    python benchmarks/translation.py --data --only es   # one language; several may run at once
    python benchmarks/translation.py --report           # the tables of finished stages

Paragraphs of squad2-en-fi are drawn until they have the requested number of English questions. Bergamot translates them
into Portuguese, Apertium into Spanish and Catalan. Then ``strategies.py`` trains English batches and hybrid batches on
the result at equal pairs, with the settings of ``translation.toml``, and measures them on XQuAD-R in English and
Spanish. All data and models are kept in ``runs/translation``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _common import RESULTS, ROOT, environment, make_parser, record, table
from panglot._errors import PanglotError

if TYPE_CHECKING:
    from panglot.data.collection import Collection
    from panglot.translation.engines import Engine

ENGINES = {"pt": "bergamot", "es": "apertium", "ca": "apertium"}
RUNS = ROOT / "runs" / "translation"


class Timed:
    """An engine that logs the time of each batch, so that an interrupted run keeps its rates.

    It logs processor seconds besides wall seconds, because the machine may be shared.
    """

    def __init__(self, engine: Engine, log: Path) -> None:
        self._engine, self._log = engine, log
        self.name, self.batch_size = engine.name, engine.batch_size
        self.serves, self.targets, self.version = engine.serves, engine.targets, engine.version

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Translate, and log the time."""
        begin, worked = time.perf_counter(), _processor_seconds()
        found = self._engine.translate(sentences, source, target)
        took = {"seconds": time.perf_counter() - begin, "processor_seconds": _processor_seconds() - worked}
        with self._log.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"sentences": len(sentences), "letters": sum(map(len, sentences)), **took}) + "\n")
        return found


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def draw(collection: Collection, questions: int, seed: int) -> Collection:
    """Return random paragraphs with a given number of questions in all.

    With the same seed, a larger draw contains a smaller one.
    """
    asked, passage = collection.pairs
    order = np.random.default_rng(seed).permutation(collection.passages.num_rows)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    chosen = asked[np.argsort(place[passage], kind="stable")[:questions]]
    kept = np.isin(np.arange(collection.questions.num_rows), chosen)
    passages = np.isin(np.arange(collection.passages.num_rows), passage[kept[asked]])
    return collection.keep(kept, passages)


def english(options: argparse.Namespace) -> Collection:
    """Return the drawn English rows; draw them once.

    Raises:
        PanglotError: An earlier draw has another number of questions.
    """
    from panglot.data.collection import Collection
    from panglot.datasets import registry

    folder = options.runs / "english"
    if not folder.exists():
        whole = registry.read("squad2-en-fi", data_dir=options.data_dir, languages=["en"])
        draw(whole, options.questions, options.seed).save(folder)
    found = Collection.open(folder)
    if found.questions.num_rows != options.questions:
        hint = f"remove {options.runs}, or use --questions {found.questions.num_rows}"
        message = f"expected {options.questions:,} questions, got {found.questions.num_rows:,} from an earlier draw"
        raise PanglotError(message, file=folder, hint=hint)
    return found


def translate_once(rows: Collection, languages: Sequence[str], folder: Path, options: argparse.Namespace) -> None:
    """Translate into some languages, unless that is finished."""
    from panglot.translation.by_sentence import Store
    from panglot.translation.local import open_engines
    from panglot.translation.translate import translate

    if not folder.exists():
        engines: list[Engine] = [
            Timed(engine, options.runs / f"speed-{code}.jsonl")
            for code in languages
            for engine in open_engines([ENGINES[code]])
        ]
        with Store(options.runs / "translations.sqlite") as store:
            translate(rows, languages, engines, store, progress=lambda line: print(line, flush=True)).save(folder)


def figures(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the speed and the dropped rows of each finished language."""
    rows: list[dict[str, Any]] = []
    for code, name in ENGINES.items():
        path, speed = options.runs / code / "report.json", options.runs / f"speed-{code}.jsonl"
        if not path.exists():
            continue
        (found,) = json.loads(path.read_text("utf-8"))["to"][code]
        sums: Counter[str] = Counter()
        for line in speed.read_text("utf-8").splitlines():
            sums.update(json.loads(line))
        number = sum(found["rows"].values())
        rows.append({
            "language": code, "engine": name, **{k: found[k] for k in ("rows", "kept", "dropped", "dropped_by")},
            **{k: round(v, 2) for k, v in sums.items()},
            **{
                f"{what}_per_{unit.removesuffix('s')}": round(count / sums[unit], 2)
                for unit in ("seconds", "processor_seconds")
                for what, count in (("rows", number), ("sentences", sums["sentences"]))
            },
        })  # fmt: skip
    return rows


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return speed and dropped rows as Markdown."""
    speed = [
        [row["language"], row["engine"], f"{sum(row['rows'].values()):,}", f"{row['sentences']:,}",
         f"{row['rows_per_processor_second']:.1f}", f"{row['sentences_per_processor_second']:.1f}",
         f"{row['rows_per_second']:.1f}", f"{row['sentences_per_second']:.1f}"] for row in rows
    ]  # fmt: skip
    head = ["to", "engine", "rows", "sentences", "rows per processor second", "sentences per processor second",
            "rows/s", "sentences/s"]  # fmt: skip
    reasons = sorted({reason for row in rows for reason in row["dropped_by"]})
    lost = [
        [row["language"], f"{row['dropped'] / sum(row['rows'].values()):.2%}",
         *(f"{row['dropped_by'].get(reason, 0) / sum(row['rows'].values()):.2%}" for reason in reasons)]
        for row in rows
    ]  # fmt: skip
    return table(head, speed) + "\n\n" + table(["to", "dropped", *reasons], lost)


def data(options: argparse.Namespace) -> None:
    """Draw, translate, filter and write the figures; join the languages once all are finished."""
    options.runs.mkdir(parents=True, exist_ok=True)
    rows = english(options)
    for code in options.only:
        translate_once(rows, [code], options.runs / code, options)
    record(options.results / "translation.json", 1, questions=options.questions, seed=options.seed,
           passages=rows.passages.num_rows, digest=rows.digest, languages=figures(options))  # fmt: skip
    if all((options.runs / code).exists() for code in ENGINES):
        # The store has every sentence by now, so this only joins the languages into one collection.
        translate_once(rows, [*ENGINES], options.runs / "parallel", options)


def strategies(options: argparse.Namespace, *more: str) -> int:
    """Call ``strategies.py`` to train, or to report; return its exit status."""
    command = [
        sys.executable, str(ROOT / "benchmarks" / "strategies.py"), "--only", "english", "hybrid", "--pairs", "2048",
        "--settings", str(ROOT / "benchmarks" / "translation.toml"), "--output", str(options.runs / "models"),
        "--results", str(options.results / "translation"), "--table", str(options.results / "translation_trained.md"),
        "--data-dir", str(options.data_dir.resolve()), "--seeds", *map(str, options.seeds),
        *(["--threads", str(options.threads)] if options.threads else []), *more,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, env=environment(options.threads), check=False).returncode


def main() -> int:
    """Run the unfinished stages."""
    options = parse_arguments()
    try:
        if not options.report:
            data(options)
        print(tables(figures(options)), flush=True)
    except PanglotError as error:
        print(f"translation: {error}", file=sys.stderr)
        return 2
    if options.data:
        return 0
    return (0 if options.report else strategies(options)) or strategies(options, "--report")


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, data_dir=True, threads=True)
    parser.add_argument("--questions", type=int, default=5000, help="number of English questions to draw")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument(
        "--only", nargs="+", choices=ENGINES, default=[*ENGINES], metavar="CODE", help=", ".join(ENGINES)
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of the trainings")
    parser.add_argument("--data", action="store_true", help="stop before training")
    parser.add_argument("--report", action="store_true", help="print and write the tables without running anything")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of data and models")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write figures to")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
