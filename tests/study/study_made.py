"""Finished cells, made without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from panglot.study import design
from panglot.study.cell import CellFolder

KEY = "starter:test|all|monolingual.mAP"


def put(study: design.Study, values: dict[str, list[float]], keys: Sequence[str] = (KEY,)) -> None:
    """Write cells that are done, with a value for each question group."""
    for name, each in values.items():
        folder = CellFolder(study.output / "cells" / name).path
        folder.mkdir(parents=True)
        arrays: dict[str, Any] = {}
        for key in keys:
            arrays |= {f"{key}|total": np.array([each]).T, f"{key}|number": np.ones((len(each), 1), np.uint16)}
        np.savez_compressed(folder / "sums.npz", **arrays)
        settings = {"monolingual": {}, "crosslingual": None, "multilingual": {}}
        about = {"figures": {"datasets": {"starter:test": settings}}}
        (folder / "cell.json").write_text(json.dumps(about), "utf-8")
