"""Hold out a part of MLQA dev to choose settings on, in the shape of MLQA-R: all sentences of its paragraphs.

    python benchmarks/mlqa_dev.py ../shared/data runs/data

writes the collections ``runs/data/mlqa-train`` and ``runs/data/mlqa-held``. No paragraph, text or question of one is
in the other.
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
