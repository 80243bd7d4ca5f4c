"""A short run."""

from __future__ import annotations

from pathlib import Path

import pytest

from panglot.training.settings import Settings


@pytest.fixture
def recipe(facts_folder: Path, small_model: Path, tmp_path: Path) -> Settings:
    return Settings(
        model=str(small_model), on=(str(facts_folder),), output=tmp_path / "run", batch_size=8, steps=12, dropout=True,
        precision="fp32", learning_rate=1e-3, checkpoint_every=3,
    )  # fmt: skip
