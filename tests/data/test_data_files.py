import gzip
import tracemalloc
from pathlib import Path

import pytest

from panglot._errors import PanglotError
from panglot.data.files import numbered_lines, parse_json, read_json, read_text

TEXT = "eins\nzwei é\n\nvier 𝒳\n"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_plain_and_gzipped_are_read_alike_whatever_the_name(tmp_path: Path, zipped: bool, bom: bytes) -> None:
    path = tmp_path / "a.gz"
    raw = bom + TEXT.encode()
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    assert read_text(path) == TEXT
    assert list(numbered_lines(path)) == [(1, "eins"), (2, "zwei é"), (4, "vier 𝒳")]


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.json"
    path.write_bytes(content)
    for read in (read_text, read_json, lambda p: list(numbered_lines(p))):
        with pytest.raises(PanglotError, match=r"empty.json: the file is empty"):
            read(path)


@pytest.mark.parametrize("zipped", [False, True])
def test_wrong_encoding_tells_the_line(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "latin1.jsonl"
    raw = 'ok\n"né"\n'.encode("latin-1")
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    for read in (read_text, lambda p: list(numbered_lines(p))):
        with pytest.raises(PanglotError, match=r"line 2: not UTF-8 .byte 0xe9.") as error:
            read(path)
        assert error.value.line == 2
        assert "-f WINDOWS-1252" in str(error.value)
    path.write_bytes('{"id": "1"}\n'.encode("utf-16"))
    with pytest.raises(PanglotError, match=r"line 1: not UTF-8.*-f UTF-16"):
        read_text(path)


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "cut.json.gz"
    whole = gzip.compress("\n".join(f"line {i * 7919 % 1000}" for i in range(5000)).encode())
    for broken in (whole[: len(whole) // 2], whole[:12], whole[:100] + b"\0\0\0\0" + whole[104:]):
        path.write_bytes(broken)
        for read in (read_text, lambda p: list(numbered_lines(p))):
            with pytest.raises(PanglotError, match=r"damaged or cut short|not UTF-8"):
                read(path)


def test_json_errors_tell_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1,\n"b": }\n')
    with pytest.raises(PanglotError, match=r"a.json, line 2: not JSON"):
        read_json(path)
    with pytest.raises(PanglotError, match="line 77: not JSON"):
        parse_json("{", path, 77)
    with pytest.raises(PanglotError, match=r"line 3: cannot be read: Exceeds the limit \(4300 digits\)"):
        parse_json(f'{{"a": {"1" * 5000}}}', path, 3)
    with pytest.raises(PanglotError, match="nested too deeply"):
        parse_json("[" * 200_000, path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="cannot read: No such file"):
        read_text(tmp_path / "nothing")
    with pytest.raises(PanglotError, match="cannot read: Is a directory"):
        list(numbered_lines(tmp_path))


def test_lines_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl.gz"
    path.write_bytes(gzip.compress((("x" * 999 + "\n") * 20_000).encode()))
    tracemalloc.start()
    assert sum(1 for _ in numbered_lines(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
