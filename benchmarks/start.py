"""Import time, time to ``panglot --help``, size of the wheel; time and memory of the demo when asked.

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
    """Return the seconds of ``import panglot`` in new processes, without Python's own start."""
    return [
        float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ]


def helping(repeats: int) -> list[float]:
    """Return the seconds of ``panglot --help``, Python's own start included."""
    spent: list[float] = []
    for _ in range(repeats):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", CLI, "--help"], capture_output=True, check=True)
        spent.append(time.perf_counter() - begin)
    return spent


def wheel() -> int | None:
    """Build the wheel and return its bytes; None where it cannot be built."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            return None
        return next(Path(folder).glob("panglot-*.whl")).stat().st_size


def demo(pairs: int | None, threads: int | None) -> dict[str, float]:
    """Run the demo; return its seconds and peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CLI, "demo", "--output", folder, *(["--pairs", str(pairs)] if pairs else [])]
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environment(threads), stdout=sys.stderr)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the demo ended with status {process.returncode}")
        scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return {"seconds": time.perf_counter() - begin, "peak_mib": used.ru_maxrss / scale}


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    values: dict[str, object] = {}
    for name, spent in (("import", importing(options.repeats)), ("help", helping(options.repeats))):
        values[f"{name}_seconds"] = {"median": statistics.median(spent), "least": min(spent), "all": spent}
        print(f"{name}: {statistics.median(spent):.3f} s (least {min(spent):.3f} s)")
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
    found.add_argument("--demo", action="store_true", help="run the demo too (minutes)")
    found.add_argument("--demo-pairs", type=int, help="another training budget than the demo's own")
    found.add_argument("--no-wheel", action="store_true", help="do not build the wheel")
    found.add_argument("--threads", type=int, help="threads of the demo; by default as many as it likes")
    found.add_argument("--json", type=Path, default=RESULTS / "start.json")
    return found


if __name__ == "__main__":
    main()
