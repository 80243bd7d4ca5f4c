"""OpenVINO: its own tests, and what is said where it is not installed."""

from __future__ import annotations

import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
from encoders_made import make_model

from panglot import _environment
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.evaluation.inputs import open_encoder
from panglot.search.index import Index


# In the process of the other tests, it ends with a segmentation fault when Chromium is closed.
@pytest.mark.skipif(util.find_spec("openvino") is None, reason="openvino is not installed")
def test_models_in_openvino_in_a_process_of_their_own() -> None:
    cases = Path(__file__).with_name("openvino_cases.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", cases], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_int8_without_openvino_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_environment, "find_spec", lambda _name: None)
    folder = make_model(tmp_path)
    for open_it in (
        lambda: load(folder, backend="auto", precision="int8"),
        lambda: open_encoder(folder, precision="int8"),
        lambda: Index.build([{"id": "1", "text": "a"}], tmp_path / "index", model=folder, precision="int8"),
    ):
        with pytest.raises(PanglotError, match=r"int8 needs openvino.*\[openvino\]', or use fp32 or bf16"):
            open_it()


def test_wrong_backend_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match=r"unknown backend 'onnx'.*use one of auto, torch, openvino"):
        load("bundled", backend="onnx")
    with pytest.raises(PanglotError, match="vectors:x does not run on this machine"):
        load("vectors:x", backend="openvino")
    monkeypatch.setattr(_environment, "find_spec", lambda _name: None)
    with pytest.raises(PanglotError, match=r"needs openvino.*pip install '.*\[openvino\]'"):
        load(make_model(tmp_path), backend="openvino")
