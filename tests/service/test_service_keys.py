"""Where keys come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.service.middleware import is_allowed
from panglot.service.serve import read_keys

KEY = "0123456789abcdef"


def test_keys_come_from_a_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_keys() == ()
    monkeypatch.setenv("PANGLOT_SERVICE_KEYS", f"{KEY}1, {KEY}2")
    assert read_keys() == (f"{KEY}1", f"{KEY}2")
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n {KEY}3 \n")
    assert read_keys(file) == (f"{KEY}3",)


@pytest.mark.parametrize("text", ["", "# none\n", "short\n", f"{KEY}é\n", f"{KEY} {KEY}\n"])
def test_a_file_without_proper_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PanglotError) as caught:
        read_keys(file)
    assert KEY not in str(caught.value)
    with pytest.raises(PanglotError):
        read_keys(tmp_path / "none")


def test_only_a_whole_key_is_allowed() -> None:
    assert is_allowed(KEY, ("other", KEY))
    for wrong in ("", KEY[:-1], KEY + "0", KEY.upper(), f" {KEY}"):
        assert not is_allowed(wrong, (KEY,))
