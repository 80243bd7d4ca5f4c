"""Progress of long work without a terminal."""

from __future__ import annotations

import re

import pytest

from panglot import _progress as module
from panglot._progress import progress


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    with progress("encoding", 3000, "documents") as advance:
        advance(1000)
        with progress("inner", None) as inner:
            inner(500)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"[\d,.]+ (documents/s|s left)", r"N \1", line) for line in lines] == [
        "encoding: 1,000 of 3,000 documents, N documents/s, N s left",
        "encoding: 1,500 of 3,000 documents, N documents/s, N s left",
    ]


def test_slow_work_has_a_rate_and_an_end() -> None:
    assert [module._rate(*each, "texts") for each in ((3, 30.0), (99, 10.0), (5000, 2.0))] == [
        "0.1 texts/s", "9.9 texts/s", "2500 texts/s",
    ]  # fmt: skip
    assert [module._time_left(*each) for each in ((3600, 1.0), (30, 0.5), (0, 1.0))] == ["60 min", "60 s", "0 s"]


def test_short_work_leaves_a_log_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("encoding", None) as advance:
        advance(10)
    assert not capsys.readouterr().err
