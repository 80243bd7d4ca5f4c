"""Run nginx, Ray and a Milvus server on this machine for a while, for ``scaling.py``."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _common import environment

PATIENCE, POLL = 600.0, 0.01  # Seconds.

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream panglot {{
        least_conn;
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 8m;
        proxy_read_timeout 70s;
        location / {{
            proxy_pass http://panglot;
            proxy_set_header Host $host;
        }}
    }}
}}
"""


def nginx() -> str | None:
    """Return the path of nginx, or None if it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def listening(command: Sequence[str], port: int, log: Path, **more: str) -> Generator[None]:
    """Run a server until the block ends, once its port answers. ``more`` is added to its environment."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, env={**environment(None), **more}, stdout=file, stderr=subprocess.STDOUT, process_group=0
        )
    begin = time.monotonic()
    try:
        while True:
            with socket.socket() as found:
                if not found.connect_ex(("127.0.0.1", port)):
                    break
            if process.poll() is not None or time.monotonic() - begin > PATIENCE:
                raise SystemExit(f"{command[0]} does not start:\n{log.read_text('utf-8')[-2000:]}")
            time.sleep(POLL)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):  # What it started and left behind.
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def behind_nginx(addresses: Sequence[str]) -> Generator[str]:
    """Run nginx in front of some servers and yield its address."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # If root starts it, its worker is another user.
        servers = " ".join(f"server {address.removeprefix('http://')};" for address in addresses)
        (path := Path(folder) / "nginx.conf").write_text(
            NGINX.format(folder=folder, servers=servers, port=(port := free_port())), "utf-8"
        )
        with listening([str(nginx()), "-c", str(path)], port, path.with_name("log")):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def ray_cluster(workers: int) -> Generator[str]:
    """Run a Ray cluster of one node and yield its address."""
    door = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--port={free_port()}", f"--ray-client-server-port={door}",
            "--include-dashboard=false", f"--num-cpus={workers}", f"--object-store-memory={200 << 20}",
            f"--temp-dir={folder}",
        ]  # fmt: skip
        with listening(command, door, Path(folder) / "log", RAY_AUTH_MODE="disabled"):
            yield f"ray://127.0.0.1:{door}"


@contextmanager
def milvus_server(folder: Path) -> Generator[tuple[str, int]]:
    """Run a Milvus server; yield the beginning of the addresses of its stores, and the id of its process."""
    from milvus import MilvusServer

    own: Any = MilvusServer(wait_for_started=False)
    own.set_base_dir(str(folder))
    try:
        own.start()
        own.wait_started(1000 * PATIENCE)
        yield f"milvus://127.0.0.1:{own.listen_port}", own.server_proc.pid
    finally:
        own.stop()
