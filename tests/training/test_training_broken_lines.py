"""Training on files with broken lines: rejected with the line, or continued without them on request."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.report import from_log
from panglot.training import data
from panglot.training.model import MemoryPlan
from panglot.training.record import Log, total_switched
from panglot.training.run import Run
from panglot.training.settings import Settings

LINES = [
    json.dumps({"group": f"g{n}", "language": code, "question": f"{code} q{n}?", "passage": f"{code} p{n}."})
    for n in range(20) for code in ("en", "de")
]  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join([*LINES[:7], '{"language": "en", "passage": "ha', *LINES[7:]]), encoding="utf-8")
    return Settings(on=(str(path),), output=tmp_path / "run")


def test_the_first_broken_line_stops_training_unless_it_may_be_skipped(settings: Settings) -> None:
    with pytest.raises(PanglotError, match=r"mine\.jsonl, line 8: not JSON"):
        data.load(settings)
    wished = replace(settings, on_error="skip")
    found = data.load(wished)
    assert found.collections[0].questions.num_rows == 40
    assert any("mine.jsonl: 1 broken lines left out" in warning for warning in found.warnings)
    Run(wished).start(found, 1, MemoryPlan(1000))
    (kept,) = [json.loads(line) for line in (wished.output / "mine.jsonl.rejected.jsonl").read_text().splitlines()]
    assert (kept["line"], kept["text"]) == (8, '{"language": "en", "passage": "ha')


def test_what_is_whole_is_read_the_same(settings: Settings, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    whole.write_text("\n".join(LINES), encoding="utf-8")
    plain = replace(settings, on=(str(whole),), languages=("deu",))
    wished = data.load(replace(plain, on_error="skip"))
    assert wished.digests == data.load(plain).digests
    assert wished.collections[0].languages == ("de",)
    assert wished.rejected == {}


def test_a_cut_gzip_gives_what_stands_before_the_cut(settings: Settings, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress("\n".join(LINES).encode(), mtime=0)
    cut.write_bytes(whole[: len(whole) - 30])
    wished = replace(settings, on=(str(cut),), on_error="skip")
    with pytest.raises(PanglotError, match="cut short"):
        data.load(replace(wished, on_error="raise"))
    found = data.load(wished)
    assert 0 < found.collections[0].questions.num_rows < 40
    assert "cut short" in list(found.rejected[str(cut)])[-1].problem
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("no\nlines\n")
    with pytest.raises(PanglotError, match=r"nothing\.jsonl, line 1: every line is broken"):
        data.load(replace(wished, on=(str(nothing),)))


def test_a_log_may_hold_texts_with_what_looks_like_a_line_end(tmp_path: Path) -> None:
    switched = {"words": 4, "covered": 2, "replaced": {"de": 1}}
    lines = [{"step": 0, "nearest_texts": ["a\u2028b\x85c"]}, {"step": 1, "switched": switched}, {"step": 2}]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines) + '{"ste', "utf-8")
    with Log(tmp_path, 1, tensorboard=False, show=False):
        pass
    assert from_log(path) == lines[:2]
    assert total_switched(path).replaced == {"de": 1}
