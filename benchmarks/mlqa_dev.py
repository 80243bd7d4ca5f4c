"""Hold out a part of MLQA dev to choose settings on, in the shape of MLQA-R: all sentences of its paragraphs.

    python benchmarks/mlqa_dev.py ../shared/data runs/data

writes the collections ``runs/data/mlqa-train`` and ``runs/data/mlqa-held``. No passage, text or question of one is in
the other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from panglot.corpus import registry
from panglot.corpus._sentences import spans
from panglot.corpus.collection import Collection, Text
from panglot.corpus.split import hold_out


def main(data_dir: Path, output: Path, share: float = 0.12, seed: int = 0) -> None:
    train, held = hold_out(registry.read("mlqa", data_dir=data_dir, candidates="sentence"), share, seed)
    whole = registry.read("mlqa", data_dir=data_dir, candidates="paragraph")
    groups = set(held.questions["group"].to_pylist())
    texts = whole.passages.to_pylist()
    question, passage = whole.pairs
    group_of = whole.questions["group"].to_pylist()
    paragraphs = sorted({int(p) for q, p in zip(question, passage, strict=True) if group_of[q] in groups})
    passages = [Text(**row) for row in held.passages.to_pylist()]
    there = {(text.language, text.text) for text in passages}
    answers = {(text["language"], text["text"]) for text in train.passages.to_pylist()}
    for row in paragraphs:
        language, text = texts[row]["language"], texts[row]["text"]
        for number, (start, end) in enumerate(spans(text, language)):
            key = (language, text[start:end])
            if key not in there and key not in answers:
                there.add(key)
                label = f"{language}-pool-{row}-{number}"
                passages.append(Text(label, language, label, text[start:end]))
    judged = [
        (held.questions["id"][q].as_py(), held.passages["id"][p].as_py(), 1) for q, p in zip(*held.pairs, strict=True)
    ]
    dev = Collection.build(
        "mlqa-held", [Text(**row) for row in held.questions.to_pylist()], passages, judged, held.about
    )
    replace(train, name="mlqa-train").save(output / "mlqa-train")
    dev.save(output / "mlqa-held")
    sys.stdout.write(f"{train}\n{dev}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
