"""Measure import time, the time of ``panglot --help`` and the wheel size, and on request time and memory of the demo.

python benchmarks/start.py --repeats 10
python benchmarks/start.py --demo
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import RESULTS, ROOT, environment, record

IMPORT = "import time; t = time.perf_counter(); import panglot; print(time.perf_counter() - t)"
CLI = "from panglot.cli.main import main; main()"


def importing(repeats: int) -> list[float]:
    """Return the seconds of ``import panglot`` in new processes, without the start of Python."""
    return [
        float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ]


def helping(repeats: int) -> list[float]:
    """Return the seconds of ``panglot --help``, with the start of Python."""
    seconds: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", CLI, "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    return seconds


def wheel() -> int | None:
    """Build the wheel and return its size in bytes, or None if it cannot be built."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            return None
        return next(Path(folder).glob("panglot-*.whl")).stat().st_size


def demo(pairs: int | None, threads: int | None) -> dict[str, float]:
    """Run the demo and return its seconds and peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CLI, "demo", "--output", folder, *(["--pairs", str(pairs)] if pairs else [])]
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment(threads), stdout=sys.stderr)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the demo ended with status {process.returncode}")
        scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return {"seconds": time.perf_counter() - start, "peak_mib": used.ru_maxrss / scale}


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    values: dict[str, object] = {}
    for name, seconds in (("import", importing(options.repeats)), ("help", helping(options.repeats))):
        values[f"{name}_seconds"] = {"median": statistics.median(seconds), "least": min(seconds), "all": seconds}
        print(f"{name}: {statistics.median(seconds):.3f} s (min {min(seconds):.3f} s)")
    if not options.no_wheel:
        values["wheel_bytes"] = size = wheel()
        print("the wheel cannot be built here" if size is None else f"wheel: {size / 1000:,.0f} kB")
    if options.demo:
        values["demo"] = found = demo(options.demo_pairs, options.threads)
        print(f"demo: {found['seconds']:.0f} s, {found['peak_mib']:,.0f} MiB")
    record(options.json, options.threads, repeats=options.repeats, **values)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--repeats", type=int, default=10)
    found.add_argument("--demo", action="store_true", help="also run the demo (minutes)")
    found.add_argument("--demo-pairs", type=int, help="number of training pairs of the demo, instead of its default")
    found.add_argument("--no-wheel", action="store_true", help="do not build the wheel")
    found.add_argument("--threads", type=int, help="number of threads of the demo; default: its own choice")
    found.add_argument("--json", type=Path, default=RESULTS / "start.json")
    return found


if __name__ == "__main__":
    main()
