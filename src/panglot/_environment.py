"""Describe the versions and the machine, on which figures depend besides data and settings."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from panglot import __version__

_PACKAGES = ("panglot", "numpy", "pyarrow", "torch", "transformers", "sentence-transformers", "accelerate")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages on which figures depend."""
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


def provenance(command: str | None) -> dict[str, Any]:
    """Return what a dictionary of figures records of its origin: ``panglot, date, command, versions, machine``."""
    return {
        "panglot": __version__,
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "versions": versions(),
        "machine": machine(),
    }
