"""Split MLQA dev into a part to train on and a held-out part to choose settings on.

    python benchmarks/mlqa_dev.py ../shared/data runs/data

This writes the collections ``runs/data/mlqa-train`` and ``runs/data/mlqa-held``. As in MLQA-R, the candidates are all
sentences of the paragraphs. The two parts share no paragraph, text or question.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from panglot.data.transform import hold_out
from panglot.datasets import registry


def main(data_dir: Path, output: Path, share: float = 0.12, seed: int = 0) -> None:
    whole = registry.read("mlqa", data_dir=data_dir, candidates="sentence")
    for name, part in zip(("mlqa-train", "mlqa-held"), hold_out(whole, share, seed), strict=True):
        replace(part, name=name).save(output / name)
        sys.stdout.write(f"{part!r}\n")


def split_once(data_dir: Path, output: Path) -> None:
    """Split MLQA dev unless ``output`` has both parts."""
    if not (output / "mlqa-held" / "collection.json").exists():
        main(data_dir, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
