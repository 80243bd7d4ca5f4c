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
    assert [re.sub(r"[\d,]+ documents/s", "N documents/s", line) for line in lines] == [
        "encoding: 1,000 of 3,000 documents, N documents/s",
        "encoding: 1,500 of 3,000 documents, N documents/s",
    ]


def test_short_work_leaves_a_log_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("encoding", None) as advance:
        advance(10)
    assert not capsys.readouterr().err
