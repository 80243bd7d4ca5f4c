"""A model hub on this machine, with the part of its interface that `huggingface_hub` needs to fetch a repository."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


class Hub(ThreadingHTTPServer):
    """Serves folders as repositories.

    Args:
        repositories: ``models/owner/name`` or ``datasets/owner/name``, and the folder that it is.
    """

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repositories = dict(repositories)
        #: The file that stops when half of it is sent; "" for none.
        self.stops_in = ""
        #: Set when it has stopped.
        self.halfway = threading.Event()
        #: Whether the connection is then reset, and every later one too; else it waits until the server ends.
        self.resets = False
        self.asked: list[str] = []
        self._over = threading.Event()

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the environment of a process that uses this as the hub."""
        place = f"http://127.0.0.1:{self.server_port}"
        plain = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        return {**plain, "HF_ENDPOINT": place, "HF_HOME": str(cache), "PANGLOT_CACHE": str(cache / "panglot"),
                "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}  # fmt: skip

    def wait(self) -> None:
        """Wait until the server ends."""
        self._over.wait(60)

    def shutdown(self) -> None:
        """Stop, and release all waiting requests."""
        self._over.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are killed on purpose."""


@contextmanager
def hub(repositories: Mapping[str, Path]) -> Generator[Hub]:
    """Run a hub until the block ends."""
    with Hub(repositories) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        assert isinstance(self.server, Hub)
        return self.server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _answer(self, *, body: bool) -> None:
        if self.hub.resets and self.hub.halfway.is_set():
            self._reset()
            return
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        for name, folder in self.hub.repositories.items():
            kind, _, short = name.partition("/")
            files = f"{short if kind == 'models' else name}/resolve/"
            if path.startswith(f"api/{name}/tree/"):
                self._json([_entry(folder, file) for file in _files(folder)])
                return
            if path == f"api/{name}" or path.startswith(f"api/{name}/revision/"):
                siblings = [{"rfilename": file.relative_to(folder).as_posix()} for file in _files(folder)]
                self._json({"id": short, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
                return
            if path.startswith(files):
                rest = path.removeprefix(files).removeprefix("refs/convert/parquet/")
                rest = rest.partition("/")[2] if rest.partition("/")[0] in {COMMIT, "main"} else rest
                self._file(folder / rest, rest, body=body)
                return
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _file(self, path: Path, name: str, *, body: bool) -> None:
        data = path.read_bytes()
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not body:
            return
        if name != self.hub.stops_in:
            self.wfile.write(data[begin:])
            return
        self.wfile.write(data[begin : begin + (len(data) - begin) // 2])
        self.wfile.flush()
        self.hub.halfway.set()
        if self.hub.resets:
            self._reset()
        else:
            self.hub.wait()
        self.close_connection = True

    def _reset(self) -> None:
        """End the connection without a goodbye, as a dying machine does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, file: Path) -> dict[str, Any]:
    oid = hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
    return {"type": "file", "path": file.relative_to(folder).as_posix(), "size": file.stat().st_size, "oid": oid}
