"""Finished cells, made without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from panglot.study import design
from panglot.study.cell import CellFolder

KEY = "starter:test|all|monolingual.mAP"


def put(
    study: design.Study, values: dict[str, list[float]], keys: Sequence[str] = (KEY,),
    classifier: Mapping[str, float] | None = None,
) -> None:  # fmt: skip
    """Write cells that are done, with a value for each question group, and that of the language classifier."""
    for name, each in values.items():
        folder = CellFolder(study.output / "cells" / name).path
        folder.mkdir(parents=True)
        arrays: dict[str, Any] = {}
        for key in keys:
            arrays |= {f"{key}|total": np.array([each]).T, f"{key}|number": np.ones((len(each), 1), np.uint16)}
        np.savez_compressed(folder / "sums.npz", **arrays)
        measured = {"monolingual": {}, "crosslingual": None, "multilingual": {}, "languages": ["de", "en", "fi"]}
        measured |= {"questions": len(each), "passages": len(each)}
        measured |= {"geometry": {"language_classifier": (classifier or {}).get(name)}}
        machine = {"cores": 1, "processor": "a processor"}
        about = {"figures": {"datasets": {"starter:test": measured}, "date": "2026-11-29", "machine": machine},
                 "training": {"pairs": 32, "steps": 1, "seconds": 1.0}}  # fmt: skip
        (folder / "cell.json").write_text(json.dumps(about), "utf-8")
