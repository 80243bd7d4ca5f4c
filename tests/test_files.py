"""Locks between processes, and writes that the system refuses."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from panglot._errors import PanglotError
from panglot._files import atomic_folder, check_writable, is_locked, lock, new_folder, write_text

HOLD = """
import sys
from pathlib import Path
from panglot._files import lock
with lock(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    assert not is_locked(path)
    assert not path.exists()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert is_locked(path)
        assert int(path.read_text("utf-8").split()[1]) == process.pid
        with lock(path, wait=False) as held:
            assert not held
        os.kill(process.pid, signal.SIGKILL)
        with lock(path) as held:
            assert held
            assert is_locked(path)
    assert not is_locked(path)


def test_nobody_is_kept_from_a_free_lock_by_a_question(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            is_locked(path)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            with lock(path, wait=False) as held:
                assert held
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PanglotError), lock(tmp_path / "file" / "lock"):
        pass


def test_a_place_is_tried_before_the_work_and_nothing_is_left_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", "utf-8")
    for place in ("file", "new/folder/report.html", "", "file/../new.json"):
        check_writable(tmp_path / place)
    for place in ("file/report.html", "file/new/report.html", "n" * 300):
        with pytest.raises(PanglotError, match="cannot write: "):
            check_writable(tmp_path / place)
    assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == ["kept"]


def test_a_new_folder_goes_with_the_work_that_failed(tmp_path: Path) -> None:
    def work(place: str, *files: str) -> None:
        with contextlib.suppress(PanglotError), new_folder(tmp_path / place):
            for name in files:
                (tmp_path / place / name).touch()
            raise PanglotError("the input is wrong")

    (tmp_path / "old").mkdir()
    work("old")
    work("old/new/folder")
    work("kept/folder", "result")
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        "old", "kept", "kept/folder", "kept/folder/result",
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_writable(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_text(path, "one\n")
    reader.join()
    assert read == [b"one\n"]
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_that_the_disk_refuses_is_an_error_with_its_folder(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        problem = r"model: cannot write: File too large\. Fix:"
        with pytest.raises(PanglotError, match=problem), atomic_folder(tmp_path / "model") as part:
            save_file({"weights": np.zeros(10_000, np.float32)}, part / "model.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "quote",
    [
        "I/O error: File too large (os error 27)",
        'IoError(Os { code: 27, kind: FileTooLarge, message: "File too large" })',  # safetensors 0.5
    ],
)
def test_every_version_of_safetensors_says_what_the_disk_refuses(quote: str, tmp_path: Path) -> None:
    error = type("SafetensorError", (Exception,), {})(f"Error while serializing: {quote}")
    with pytest.raises(PanglotError, match=r"cannot write: File too large\. Fix:"), atomic_folder(tmp_path / "model"):
        raise error


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "disk" / "folder").mkdir(parents=True)
    (tmp_path / "disk" / "folder" / "old").touch()
    (tmp_path / "disk" / "file").write_text("old", "utf-8")
    for name in ("folder", "file"):
        (tmp_path / name).symlink_to(Path("disk") / name)
    with atomic_folder(tmp_path / "folder") as part:
        (part / "new").touch()
    write_text(tmp_path / "file", "new")
    assert [path.name for path in (tmp_path / "disk" / "folder").iterdir()] == ["new"]
    assert (tmp_path / "disk" / "file").read_text("utf-8") == "new"
    assert all((tmp_path / name).is_symlink() for name in ("folder", "file"))
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "folder", "file"}
    # A link to a folder that is not there yet makes it.
    (tmp_path / "later").symlink_to(tmp_path / "disk" / "later")
    with atomic_folder(tmp_path / "later"):
        pass
    assert (tmp_path / "disk" / "later").is_dir()
