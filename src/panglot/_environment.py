"""Describe the versions and the machine, choose device and precision, and check for optional packages."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from panglot._errors import PanglotError, first_line

if TYPE_CHECKING:
    import torch

__version__ = "0.1.0"

Precision = Literal["auto", "fp32", "bf16", "int8"]

_PACKAGES = ("panglot", "numpy", "pyarrow", "torch", "transformers", "sentence-transformers", "accelerate")


def require(purpose: str, *packages: str, extra: str, field: str | None = None, otherwise: str = "") -> None:
    """Refuse to go on if an optional package is not installed. Nothing is imported.

    The packages have the names by which they are imported, and ``extra`` of panglot installs them. ``field`` is the
    option that asked for them, and ``otherwise`` what else the user can do.

    >>> require("hybrid search", "json", "no_such_package", extra="lexical")
    Traceback (most recent call last):
    panglot._errors.PanglotError: hybrid search needs no_such_package. Fix: pip install '...[lexical]'
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        hint = install_command(extra) + (f", or {otherwise}" if otherwise else "")
        raise PanglotError(f"{purpose} needs {' and '.join(missing)}", field=field, hint=hint)


def install_command(extra: str) -> str:
    """Return the command that installs an extra from where panglot itself was installed: an index, a folder, a URL."""
    from importlib import metadata  # Slow, as is urllib.request, and every command reads this module.

    return f"pip install '{_requirement(extra, metadata.distribution('panglot').read_text('direct_url.json'))}'"


def _requirement(extra: str, origin: str | None) -> str:
    """Return panglot with an extra as pip takes it. ``origin`` is pip's record of where it was installed from.

    >>> _requirement("serve", None)
    'panglot[serve]'
    >>> _requirement("serve", '{"dir_info": {"editable": true}, "url": "file:///home/me/panglot"}')
    '/home/me/panglot[serve]'
    >>> _requirement("serve", '{"vcs_info": {"vcs": "git", "commit_id": "1"}, "url": "https://host/panglot.git"}')
    'panglot[serve] @ git+https://host/panglot.git'
    """
    found = json.loads(origin or "{}")
    url = urlsplit(found.get("url", ""))
    if not url.scheme:
        return f"panglot[{extra}]"
    if url.scheme != "file" or "vcs_info" in found:
        vcs = found.get("vcs_info", {}).get("vcs")
        return f"panglot[{extra}] @ {vcs + '+' if vcs else ''}{url.geturl()}"
    from urllib.request import url2pathname

    path = url2pathname(url.path)
    return f".[{extra}]" if Path(path) == Path.cwd() else f"{path}[{extra}]"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages on which figures depend."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, str | int]:
    """Return the number of cores that this process may use and the name of the processor."""
    processor = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        processor = next(named, processor)
    return {"cores": cores(), "processor": processor}


def free_memory() -> int:
    """Return the bytes that this process can still use. A container's limit counts as the machine's size."""
    import psutil

    return max(0, min([psutil.virtual_memory().available, *_left_in_groups()]))


def _left_in_groups(groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Return what the memory limits of this process's control groups (Linux) leave, in bytes."""
    found: list[int] = []
    for line in groups.read_text("utf-8").splitlines() if groups.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = mounted / controllers
        limit, used, cached = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers else ("memory.max", "memory.current", "inactive_file")
        )  # fmt: skip
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(root):
                break
            try:
                most, taken = (int((place / name).read_text("ascii")) for name in (limit, used))
                about = dict(each.split() for each in (place / "memory.stat").read_text("ascii").splitlines())
            except (OSError, ValueError):  # There is no limit, or the group is not visible in this container.
                continue
            found.append(most - taken + int(about.get(cached, 0)))
    return found


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process can still use on its device.

    Processes on one machine share its memory, and a container's limit counts as the machine's size.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def choose_device(device: str | None = None) -> torch.device:
    """Return the device asked for, else a GPU if torch sees one, else the CPU."""
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # Each backend of torch has its own.
        problem = f"the device {device!r} cannot be used: {first_line(error)}"
        raise PanglotError(problem, field="device", hint="use cpu") from error
    return chosen


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than float32 there. Emulated ones are slower."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and cpu_precision() == "bf16"


def cpu_precision() -> Literal["fp32", "bf16"]:
    """Return the faster precision of products on this processor, without a question to torch.

    It is ``bf16`` with AMX, and on AMD's processors with AVX512_BF16. Intel's without AMX, or in a virtual machine that
    hides it, multiply bfloat16 at about half the speed of float32.
    """
    import numkong

    can = numkong.get_capabilities()
    # numkong's names for AVX512_BF16 and for AVX512_FP16. Only Intel's processors have the latter.
    plain = can.get("genoa", False) and not can.get("sapphire", False)
    return "bf16" if can.get("sapphireamx", False) or plain else "fp32"


def may_have_gpu() -> bool:
    """Whether there is a sign of a GPU that torch could use. Only torch knows for certain."""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/xpu")
    return sys.platform != "linux" or any(Path(driver).exists() for driver in drivers)


def choose_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16", "int8"]:
    """Return the precision asked for. ``auto`` is ``bf16`` if that is faster there, else ``fp32``."""
    if precision not in (known := get_args(Precision)):
        hint = f"use one of {', '.join(known)}"
        raise PanglotError(f"unknown precision {precision!r}", field="precision", hint=hint)
    if precision == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    return precision


def commit() -> str | None:
    """Return the commit of the checkout that this file is in, with ``-dirty`` if it was changed since, or None."""
    import subprocess

    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    call = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    try:
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):  # There is no git, or it does not trust the owner of the folder.
        return None


def provenance(command: str | None) -> dict[str, Any]:
    """Return where figures come from: ``panglot, commit, date, command, versions, machine``."""
    return {
        "panglot": __version__,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "versions": versions(),
        "machine": machine(),
    }
