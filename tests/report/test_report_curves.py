"""Reading a run's log."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import sample_figures
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.report import from_log
from panglot.report.curves import conflicts, dev, losses, smoothed, thinned

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_is_read_from_its_file_and_from_its_run_folder(tmp_path: Path) -> None:
    lines = sample_figures.log_lines(steps=80)
    sample_figures.write_log(tmp_path / "log.jsonl", lines)
    assert from_log(tmp_path) == from_log(tmp_path / "log.jsonl") == lines
    assert set(losses(lines)) == {"mono", "cross"}
    assert [step for step, _ in dev(lines, "multilingual")] == [40, 80]


@pytest.mark.parametrize("torn", ['{"step": 81, "lo', '{"step": 81, "source": "caf\xc3', "\x00\x00\x00"])
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: str) -> None:
    lines = sample_figures.log_lines(steps=80)
    sample_figures.write_log(tmp_path / "log.jsonl", lines, torn)
    assert from_log(tmp_path) == lines


def test_bytes_cut_within_a_letter_are_a_torn_line(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b'{"step": 1, "loss": 2.0}\n{"step": 2, "source": "\xd7')
    assert from_log(file) == [{"step": 1, "loss": 2.0}]


def test_a_broken_line_within_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 1, "loss": 2.0}\n{"step"\n{"step": 3, "loss": 1.0}\n', encoding="utf-8")
    with pytest.raises(PanglotError, match="line 2"):
        from_log(file)


def test_steps_that_ran_again_replace_their_lines(tmp_path: Path) -> None:
    sample_figures.write_log(
        tmp_path / "log.jsonl",
        [
            {"step": 1, "loss": 3.0},
            {"step": 2, "loss": 9.0},
            {"step": 2, "loss": 2.0},
            {"step": 3, "loss": 1.0},
        ],
    )
    assert [(line["step"], line["loss"]) for line in from_log(tmp_path)] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_no_log_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="run folder"):
        from_log(tmp_path)


def test_what_is_no_number_is_no_point() -> None:
    lines = [json.loads('{"step": 1, "loss": NaN}'), {"step": 2, "loss": None}, {"step": 3, "loss": 1.0}]
    assert losses(lines) == {"loss": [(3.0, 1.0)]}
    assert dev([{"step": 4, "dev": {"monolingual": {"mAP": 0.5}, "crosslingual": None}}], "crosslingual") == []
    assert dev([{"step": 4, "dev": {"monolingual": {"mAP": 0.5}}}], "monolingual") == [(4.0, 0.5)]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=400), st.integers(1, 60))
def test_thinning_keeps_the_mean_and_the_order(values: list[float], most: int) -> None:
    points = [(float(place), value) for place, value in enumerate(values)]
    thin = thinned(points, most)
    assert len(thin) == min(most, len(points))
    assert [x for x, _ in thin] == sorted(x for x, _ in thin)
    if len(points) % most == 0:
        assert math.fsum(y for _, y in thin) / len(thin) == pytest.approx(math.fsum(values) / len(values))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_smoothing_stays_within_the_values(values: list[float]) -> None:
    points = [(float(place), value) for place, value in enumerate(values)]
    smooth = smoothed(points)
    assert [x for x, _ in smooth] == [x for x, _ in points]
    assert all(min(values) - 1e-9 <= y <= max(values) + 1e-9 for _, y in smooth)


def test_objectives_have_a_curve_each_unless_they_are_many() -> None:
    def line(step: int, names: list[str]) -> dict[str, Any]:
        objectives = [{"name": name, "loss": step + number} for number, name in enumerate(names)]
        return {"step": step, "loss": 9.0, "kind": "pcgrad", "objectives": objectives, "cosine": -0.5, "conflicts": 1.0}

    assert losses([line(1, ["mono", "cross"]), line(2, ["cross"])]) == {
        "mono": [(1, 1.0)],
        "cross": [(1, 2.0), (2, 2.0)],
    }
    assert losses([line(1, list("abcdefgh"))]) == {"pcgrad": [(1, 9.0)]}
    assert conflicts([line(1, ["mono"])]) == {"mean cosine": [(1, -0.5)], "share in conflict": [(1, 1.0)]}
