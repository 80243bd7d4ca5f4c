"""Measure the time of ``import panglot`` and ``panglot --help``, and the size of the wheel.

With ``--demo``, measure the time and memory of the demo too.

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

from _common import ROOT, environment, make_parser, record, rusage_mib

IMPORT = "import time; t = time.perf_counter(); import panglot; print(time.perf_counter() - t)"
CLI = "from panglot.cli.main import main; main()"


def import_seconds(repeats: int) -> list[float]:
    """Return the seconds of ``import panglot`` in new processes, excluding the start of Python."""
    return [
        float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ]


def help_seconds(repeats: int) -> list[float]:
    """Return the seconds of ``panglot --help`` in new processes, including the start of Python."""
    seconds: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", CLI, "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    return seconds


def wheel_bytes() -> int | None:
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
        return {"seconds": time.perf_counter() - start, "peak_mib": rusage_mib(used)}


def main() -> None:
    """Print and write the figures."""
    options = parse_arguments()
    values: dict[str, object] = {}
    for name, seconds in (("import", import_seconds(options.repeats)), ("help", help_seconds(options.repeats))):
        values[f"{name}_seconds"] = {"median": statistics.median(seconds), "least": min(seconds), "all": seconds}
        print(f"{name}: {statistics.median(seconds):.3f} s (min {min(seconds):.3f} s)")
    if not options.no_wheel:
        values["wheel_bytes"] = size = wheel_bytes()
        print("the wheel cannot be built here" if size is None else f"wheel: {size / 1000:,.0f} kB")
    if options.demo:
        values["demo"] = figures = demo(options.demo_pairs, options.threads)
        print(f"demo: {figures['seconds']:.0f} s, {figures['peak_mib']:,.0f} MiB")
    record(options.json, options.threads, repeats=options.repeats, **values)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, threads=True, results="start.json")
    parser.add_argument("--repeats", type=int, default=10, help="number of processes to time")
    parser.add_argument("--demo", action="store_true", help="also run the demo, which takes minutes")
    parser.add_argument("--demo-pairs", type=int, help="training pairs of the demo, instead of its default")
    parser.add_argument("--no-wheel", action="store_true", help="do not build the wheel")
    return parser.parse_args()


if __name__ == "__main__":
    main()
