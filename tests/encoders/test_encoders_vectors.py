"""Vectors from files: by id, at unit length, or a clear refusal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from panglot._errors import PanglotError
from panglot.encoders.cache import Cached
from panglot.encoders.load import load

if TYPE_CHECKING:
    from pathlib import Path

IDS = ["q1", "q2", "q3"]
ROWS = np.array([[3, 4], [0, 2], [-1, 0]], np.float32)
UNIT = np.array([[0.6, 0.8], [0, 1], [-1, 0]], np.float32)


def write(folder: Path, ids: Any = IDS, rows: Any = ROWS, *, side: str = "questions", listed: bool = False) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    np.save(folder / f"{side}.npy", rows, allow_pickle=True)
    if listed:
        (folder / f"{side}.json").write_text(json.dumps(ids))
    else:
        (folder / f"{side}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("listed", [False, True])
def test_rows_by_id(tmp_path: Path, listed: bool) -> None:
    encoder = load(f"vectors:{write(tmp_path / 'mine', listed=listed)}")
    found = encoder.encode(["", ""], "question", ids=["q3", "q1"])
    np.testing.assert_allclose(found, UNIT[[2, 0]], atol=1e-7)
    assert found.dtype == np.float32
    assert encoder.name == "mine"


def test_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez(
        path,
        questions=ROWS,
        question_ids=np.array(IDS),
        passages=ROWS.astype(np.float16),
        passage_ids=np.array(IDS),
    )
    encoder = load(f"vectors:{path}")
    for side in ("question", "passage"):
        np.testing.assert_allclose(encoder.encode([""] * 3, side, ids=IDS), UNIT, atol=1e-3)


def test_vectors_by_id_are_not_cached(tmp_path: Path) -> None:
    encoder = Cached(load(f"vectors:{write(tmp_path / 'v')}"), tmp_path / "cache")
    # The texts are equal, their vectors are not.
    np.testing.assert_allclose(encoder.encode(["x", "x"], "question", ids=["q1", "q2"]), UNIT[:2], atol=1e-7)
    assert encoder.by_id


def test_a_missing_vector_is_named(tmp_path: Path) -> None:
    encoder = load(f"vectors:{write(tmp_path / 'v')}")
    with pytest.raises(PanglotError, match=r"no vector for the question 'q9' \(and 1 more\)"):
        encoder.encode(["", "", ""], "question", ids=["q1", "q9", "q8"])
    with pytest.raises(PanglotError, match="no vectors of passages"):
        encoder.encode([""], "passage", ids=["q1"])
    with pytest.raises(PanglotError, match="need the ids of the texts"):
        encoder.encode([""], "question")
    with pytest.raises(PanglotError, match="1 ids for 2 texts"):
        encoder.encode(["", ""], "question", ids=["q1"])


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        (IDS, np.array([[1, 2], [np.nan, 1], [1, 1]]), "'q2' is zero or not finite"),
        (IDS, np.array([[1, 2], [1, 1], [np.inf, 1]]), "'q3' is zero or not finite"),
        (IDS, np.zeros((3, 2)), "'q1' is zero or not finite"),
        (IDS, ROWS[:2], "3 ids for 2 rows"),
        (["a", "b", "a"], ROWS, "'a' occurs twice"),
        (IDS, ROWS[:, 0], r"shape \(3,\)"),
        (IDS, ROWS[:, :0], r"shape \(3, 0\)"),
        (IDS, ROWS.astype(int), "int64"),
        (IDS, np.array([{"pickled": 1}] * 3, dtype=object), "not an array of numbers"),
    ],
)
def test_bad_tables(tmp_path: Path, ids: list[str], rows: Any, message: str) -> None:
    with pytest.raises(PanglotError, match=message):
        load(f"vectors:{write(tmp_path / 'v', ids, rows)}")


def test_ids_may_hold_what_looks_like_a_line_end(tmp_path: Path) -> None:
    ids = ["q\u20281", "q\x852", "q\x0c3"]
    found = load(f"vectors:{write(tmp_path / 'mine', ids)}").encode(["", ""], "question", ids=ids[1:])
    np.testing.assert_allclose(found, UNIT[1:], atol=1e-7)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="there is no such folder or file"):
        load(f"vectors:{tmp_path / 'none'}")
    with pytest.raises(PanglotError, match="there are no vectors here"):
        load(f"vectors:{tmp_path}")
    (tmp_path / "v.npz").write_bytes(b"no archive")
    with pytest.raises(PanglotError, match="the archive cannot be read"):
        load(f"vectors:{tmp_path / 'v.npz'}")
    np.savez(tmp_path / "pickled.npz", questions=ROWS, question_ids=np.array(IDS, dtype=object))
    with pytest.raises(PanglotError, match="the archive cannot be read"):
        load(f"vectors:{tmp_path / 'pickled.npz'}")
    np.savez(tmp_path / "bare.npz", questions=ROWS)
    with pytest.raises(PanglotError, match="question_ids"):
        load(f"vectors:{tmp_path / 'bare.npz'}")
    folder = write(tmp_path / "no-ids")
    (folder / "questions.txt").unlink()
    with pytest.raises(PanglotError, match=r"the ids of questions\.npy cannot be read"):
        load(f"vectors:{folder}")
    write(write(tmp_path / "widths"), rows=np.ones((3, 5)), side="passages")
    with pytest.raises(PanglotError, match="different lengths"):
        load(f"vectors:{tmp_path / 'widths'}")


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    one, two, three = (write(tmp_path / name) for name in ("one", "two", "three"))
    write(three, rows=ROWS * [1, 2])
    marks = [load(f"vectors:{folder}").fingerprint for folder in (one, two, three)]
    assert marks[0] == marks[1] != marks[2]
