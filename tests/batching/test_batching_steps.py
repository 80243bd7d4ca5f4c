"""Steps with their texts: they are the same for any number of workers, and no row is repeated."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.batching import Plan, Policy, TrainingTable, table
from panglot.batching.steps import Step, Steps
from panglot.data.collection import Collection


@pytest.fixture
def opened(facts_folder: Path) -> Collection:
    return Collection.open(facts_folder)


def same(one: Step, other: Step) -> bool:
    return one.questions == other.questions and one.passages == other.passages and one.batch.step == other.batch.step


def test_a_step_has_the_texts_of_the_plan(opened: Collection) -> None:
    policy = Policy("hybrid", batch_size=6, seed=4)
    steps, plan = Steps([opened], policy, 12), Plan([TrainingTable.from_collection(opened)], policy)
    assert len(steps) == 12
    for k, step in enumerate(steps):
        assert step.questions == opened.questions["text"].take(plan(k).questions).to_pylist()
        assert step.passages == opened.passages["text"].take(plan(k).passages).to_pylist()


def test_workers_share_an_epoch_without_repeating_a_row(opened: Collection) -> None:
    from torch.utils.data import DataLoader

    # One epoch: 20 facts in batches of 5.
    steps: Any = Steps([opened], Policy("mixed-mono", batch_size=5, seed=1), 4)
    loaded = list(DataLoader(steps, batch_size=None, num_workers=2))
    assert all(same(one, other) for one, other in zip(loaded, steps, strict=True))
    rows = np.concatenate([step.batch.rows for step in loaded])
    assert sorted(rows.tolist()) == list(range(20))


def test_processes_take_every_other_step_or_a_part_of_each(opened: Collection) -> None:
    policy = Policy("hybrid-row", batch_size=5, seed=1)
    whole = Steps([opened], policy, 8)
    mine = [whole[rank::3] for rank in range(3)]
    assert [len(part) for part in mine] == [3, 3, 2]
    assert all(same(mine[k % 3][k // 3], whole[k]) for k in range(8))
    shards = [Steps([opened], policy, 8, rank=rank, world=2) for rank in range(2)]
    for k in range(8):
        assert shards[0][k].questions + shards[1][k].questions == whole[k].questions
    with pytest.raises(PanglotError, match="must be between 0 and 1, got 2"):
        Steps([opened], policy, 8, rank=2, world=2)


def test_a_worker_gets_folders_and_no_texts(opened: Collection) -> None:
    steps = Steps([opened], Policy("hybrid-row", batch_size=5), 8)
    assert same(pickle.loads(pickle.dumps(steps))[3], steps[3])
    assert len(pickle.dumps(steps)) < 2000


def test_rows_of_a_large_collection_are_kept(
    opened: Collection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path))
    plain = TrainingTable.from_collection(opened)
    assert not (tmp_path / "sources").exists()
    monkeypatch.setattr(table, "LARGE", 1)
    found = TrainingTable.from_collection(opened)
    (kept,) = (tmp_path / "sources").iterdir()
    again = TrainingTable.from_collection(opened)
    for one in (found, again):
        assert all(
            (getattr(plain, name) == getattr(one, name)).all() for name in ("question", "passage", "conflict_group")
        )
        assert (one.mono, one.languages, one.name) == (plain.mono, plain.languages, plain.name)
    assert not again.question.flags.writeable
    (kept / "conflict_group.npy").write_bytes(b"broken")
    assert (TrainingTable.from_collection(opened).conflict_group == plain.conflict_group).all()
