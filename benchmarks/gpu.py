"""Measure training, encoding and a study on a GPU in at most ten minutes, with the share of the matrix peak.

    python benchmarks/gpu.py                 # where there is a GPU
    python benchmarks/gpu.py --small         # the same parts on any machine, in small, to see that they run

Training is panglot beside sentence-transformers in float32 and bf16 (``training_speed.py``), at a batch of 1,024.
Encoding is ``encoding.py``. The study is ``studies/starter.toml`` with its 15 cells. The share of the peak is that of
training, at 6 operations per token and weight of the transformer. It leaves out attention scores, so it is a little too
low. Figures are written after each part. A part for which no time is left is named with the reason.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import ROOT, figures_table, make_parser, record, sentence_transformer

LIMIT = 600.0  # Seconds of the whole script.


def peak(seconds: float = 1.0) -> dict[str, Any]:
    """Return the device and its bf16 matrix peak in operations per second, measured with large square matrices."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    size = 8192 if device.type == "cuda" else 1024
    best, begin = 0.0, time.perf_counter()
    for dtype in (torch.bfloat16, torch.float32):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        while time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            product = a @ b
            # Reading a number waits for the device.
            product[0, 0].item()
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
        begin = time.perf_counter()
    return {"device": device.type, "name": name, "operations_per_second": best}


def transformer_weights() -> int:
    """Return the number of weights of the bundled model without its embeddings."""
    model: Any = sentence_transformer("bundled")[0]
    return sum(p.numel() for name, p in model.named_parameters() if "embeddings" not in name)


def parts(*, small: bool, data_dir: Path, folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the command of each part, without Python."""
    data = ("--data-dir", str(data_dir))
    sizes = ("--batch-size", "16", "--pairs", "128") if small else ("--batch-size", "1024", "--pairs", "16384")
    training = ("benchmarks/training_speed.py", "--sides", "st", "st-bf16", "panglot", "--repeats", "1", *sizes, *data)
    encoding = ("benchmarks/encoding.py", "--texts", "64" if small else "13000", "--repeats", "2", *data)
    return {
        "training": (*training, "--json", str(folder / "training.json")),
        "encoding": (*encoding, "--json", str(folder / "encoding.json")),
        "study": ("-m", "panglot.cli.main", "study", "run", str(starter_study(folder))),
    }  # fmt: skip


def starter_study(folder: Path) -> Path:
    """Write the study of the starter with an output of its own, so that it does not find its cells finished."""
    text = (ROOT / "studies" / "starter.toml").read_text("utf-8")
    path = folder / "starter.toml"
    path.write_text(
        re.sub(r'^output = ".*"$', f"output = {json.dumps(str(folder / 'study'))}", text, flags=re.MULTILINE),
        "utf-8",
    )
    return path


def study_figures(folder: Path) -> dict[str, Any]:
    """Return the number of finished cells, and the seconds and pairs of their trainings."""
    cells = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("study/cells/*/cell.json"))]
    trained = [cell["training"] for cell in cells if cell.get("training")]
    return {"cells": len(cells), **{name: sum(each[name] for each in trained) for name in ("pairs", "seconds")}}


def run(command: tuple[str, ...], seconds: float) -> tuple[float, str]:
    """Run a part, and return its seconds and what went wrong, or an empty text."""
    begin = time.monotonic()
    done = subprocess.Popen([sys.executable, *command], cwd=ROOT, start_new_session=True)
    try:
        status = done.wait(max(seconds, 1))
    except subprocess.TimeoutExpired:
        # Also what it has started, which would go on computing.
        os.killpg(done.pid, signal.SIGKILL)
        done.wait()
        return time.monotonic() - begin, "the time was up"
    return time.monotonic() - begin, f"it ended with status {status}" if status else ""


def with_shares(found: dict[str, Any], operations: float, weights: int) -> dict[str, Any]:
    """Return the figures with the share of the peak that each side reaches in training.

    >>> with_shares({"training": {"sides": {"a": {"tokens_per_second": 10.0}}}}, 1200.0, 2)["shares"]
    {'training': {'a': 0.1}}
    """
    sides = found.get("training", {}).get("sides", {})
    shares = {name: 6 * weights * side["tokens_per_second"] / operations for name, side in sides.items()}
    return {**found, "shares": {"training": {name: round(share, 3) for name, share in shares.items()}}}


def main() -> None:
    """Run the parts one after another."""
    parser = make_parser(__doc__, data_dir=True, results="gpu.json")
    parser.add_argument("--small", action="store_true", help="a small version, to see on any machine that it runs")
    options = parser.parse_args()
    begin, top, weights = time.monotonic(), peak(), transformer_weights()
    print(f"{top['name']}: {top['operations_per_second'] / 1e12:.2f} T operations per second", flush=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, command in parts(small=options.small, data_dir=options.data_dir, folder=folder).items():
            seconds, problem = run(command, LIMIT - (time.monotonic() - begin))
            file = folder / f"{part}.json"
            found[part] = {"seconds": round(seconds, 1), **({"problem": problem} if problem else {})}
            if file.is_file():
                found[part] |= json.loads(file.read_text("utf-8"))
            if part == "study":
                found[part] |= {"trained": study_figures(folder)}
            found = with_shares(found, top["operations_per_second"], weights)
            record(options.json, None, small=options.small, peak=top, weights=weights, parts=found)
    print(figures_table("part", {"seconds": "{seconds}"}, {each: found[each] for each in found if each != "shares"}))
    print("share of the peak in training:", found["shares"]["training"])


if __name__ == "__main__":
    main()
