"""Write the translated questions that come with panglot (``tydiqa-goldp-mt``). This is not a benchmark.

    python benchmarks/tydiqa_mt.py --data-dir DATA

Apertium translates the English dev questions of TyDi QA into Spanish and Catalan, Bergamot into Portuguese, as in

    panglot translate tydiqa-goldp --from en --to es,ca,pt --questions-only --no-filters --output FOLDER

No question is filtered, because a filtered test set would flatter the engines. The script prints what the filters
would drop.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from _common import make_parser
from panglot._files import write_json, write_text
from panglot.datasets import tydiqa
from panglot.datasets.catalog import CARDS
from panglot.translation.by_sentence import Store
from panglot.translation.local import open_engines
from panglot.translation.quality import NO_LIMITS, Thresholds, filter_reasons
from panglot.translation.translate import translate

ENGINES = {"ca": "apertium", "es": "apertium", "pt": "bergamot"}


def main() -> None:
    """Translate and write both files."""
    options = make_parser(__doc__, data_dir=True).parse_args()
    english = CARDS["tydiqa-goldp"].read(options.data_dir / "tydiqa-goldp").select(["en"])
    lines = {row["id"]: {"id": row["id"], "en": row["text"]} for row in english.questions.to_pylist()}
    made_by: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store") as store:
        for code, name in ENGINES.items():
            done = translate(english, [code], open_engines([name]), store, questions_only=True, thresholds=NO_LIMITS)
            texts = {row["id"]: row["text"] for row in done.collection.questions.to_pylist()}
            reasons: Counter[str] = Counter()
            for origin in done.origins:
                line = lines[origin.source]
                line[code] = texts[origin.id]
                reasons.update(filter_reasons(line["en"], line[code], "en", code, Thresholds()))
            (origin,) = {each._replace(id="", source="") for each in done.origins}
            made_by[code] = {"engine": origin.engine, "version": origin.version,
                             "date": datetime.now(UTC).date().isoformat()}  # fmt: skip
            print(f"{code}: {len(done.origins)} questions; the filters would drop {dict(reasons)}")
    target = tydiqa.shipped()
    target.mkdir(exist_ok=True)
    write_text(target / "questions.jsonl", "".join(json.dumps(v, ensure_ascii=False) + "\n" for v in lines.values()))
    write_json(target / "engines.json", made_by)


if __name__ == "__main__":
    main()
