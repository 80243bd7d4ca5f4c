"""A Ray cluster of two nodes makes the same bytes as one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from encoding_made import Made, OnNode, documents, pieces

from panglot._errors import PanglotError
from panglot.search.document import Document
from panglot.search.ingest import encode
from panglot.search.ingest.encode import encode_documents

PATIENCE = 600.0
PATHS = os.pathsep.join(
    [str(Path(encode.__file__).parents[3]), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
)
"""Where workers find panglot and the encoders of the tests."""


def free(address: str) -> int:
    with socket.socket() as found:
        found.bind((address, 0))
        return int(found.getsockname()[1])


@contextmanager
def node(address: str, port: int, arguments: Sequence[str]) -> Generator[None]:
    """Run a node in the foreground until the block ends, once its port answers."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": PATHS}
    ray = str(Path(sys.executable).parent / "ray")
    command = [ray, "start", "--block", "--disable-usage-stats", f"--node-ip-address={address}", *arguments]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        begun = time.monotonic()
        while port:
            assert process.poll() is None
            assert time.monotonic() - begun < PATIENCE
            with socket.socket() as found:
                if not found.connect_ex((address, port)):
                    break
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with a processor each and one to spare, reached from outside."""
    pytest.importorskip("ray")
    pytest.importorskip("grpc")
    port, door = free("127.0.0.2"), free("127.0.0.2")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        memory = f"--object-store-memory={100 << 20}"
        head = ["--head", f"--port={port}", f"--ray-client-server-port={door}", "--include-dashboard=false"]
        stack.enter_context(node("127.0.0.2", door, [*head, "--num-cpus=2", memory, f"--temp-dir={folder}"]))
        stack.enter_context(node("127.0.0.3", 0, [f"--address=127.0.0.2:{port}", "--num-cpus=1", memory]))
        wait_for_nodes(f"ray://127.0.0.2:{door}", 2)
        yield f"ray://127.0.0.2:{door}"


def wait_for_nodes(address: str, count: int) -> None:
    import ray

    begun = time.monotonic()
    ray.init(address, log_to_driver=False)
    try:
        while sum(each["Alive"] for each in ray.nodes()) < count:
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.5)
    finally:
        ray.shutdown()


def encode_on_a_cluster_of_its_own(folder: Path) -> None:
    import ray

    encode.SHARD = 4
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["PYTHONPATH"] = PATHS
    first = list(encode_documents(pieces(20), Made(), folder / "here"))
    done = list(encode_documents(pieces(20), Made(), folder / "there", on="ray"))
    for (_, ours), (_, theirs) in zip(first, done, strict=True):
        assert np.array_equal(ours, theirs)
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_cluster_of_ones_own_is_started_and_stopped(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    # In its own process: one that was connected to a cluster by ray:// cannot start another.
    process = get_context("spawn").Process(target=encode_on_a_cluster_of_its_own, args=(tmp_path,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0


@pytest.mark.slow
def test_two_nodes_make_the_same_bytes(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "SHARD", 4)
    first = list(encode_documents(pieces(80), Made(), tmp_path / "here"))
    (tmp_path / "there").mkdir()
    known = sorted((tmp_path / "here").iterdir())[3]
    (tmp_path / "there" / known.name).write_bytes(known.read_bytes())

    encoder = OnNode(tmp_path / "log", seconds=0.3)
    done = list(encode_documents(pieces(80), encoder, tmp_path / "there", on=address))
    assert [document for part, _ in done for document in part] == documents(80)
    for (_, ours), (_, theirs) in zip(first, done, strict=True):
        assert np.array_equal(ours, theirs)
    kept = [{path.name: path.read_bytes() for path in (tmp_path / each).iterdir()} for each in ("here", "there")]
    assert kept[0] == kept[1]
    calls = [line.split() for line in encoder.calls()]
    assert len(calls) == len({call[0] for call in calls}) == 19
    assert len({call[2] for call in calls}) == 2

    made = [*documents(7), Document("x", "fail")]
    with pytest.raises(PanglotError, match=r"the encoder is out of order. Fix: wait"):
        list(encode_documents([made], encoder, tmp_path / "failed", on=address))


@pytest.mark.slow
def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    pytest.importorskip("grpc")
    with pytest.raises(PanglotError, match=r"the cluster ray://127\.0\.0\.1:9 does not answer"):
        list(encode_documents(pieces(4), Made(), tmp_path, on="ray://127.0.0.1:9"))
