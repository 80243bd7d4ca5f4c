"""Pack the model of a run folder as panglot-small: its difference to the bundled model, with its card and its recipe.

    python benchmarks/small.py pack runs/small
    panglot compare --suite forms bundled runs/small panglot-small --json figures.json
    python benchmarks/small.py pack runs/small --figures figures.json

The first command writes the files into the package and measures what four bits per weight cost. The second one measures
the same on the suite, and the third one writes the same weights again, with the figures in the card.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import panglot
from _common import folder_bytes, make_parser, table
from panglot._errors import PanglotError, located
from panglot._files import atomic_folder, write_text
from panglot.encoders.bundled import SOURCE_SHA256, read_source, weights_of, write_model
from panglot.encoders.difference import add, read_difference, subtract, write_difference
from panglot.encoders.shipped import BUNDLED, DIFFERENCE, PAPERS, SMALL, TRAINED
from panglot.report.results import Comparison, read_results
from start import wheel_bytes

#: The least cosine of a packed model's vectors to those of its run, below which something else than rounding differs.
LEAST = 0.999

Weights = Mapping[str, npt.NDArray[np.float32]]


def pack(run: Path, output: Path, figures: Sequence[Path] = (), on: str = "starter:dev") -> dict[str, Any]:
    """Write the files of the model in ``run`` to the folder ``output``, and return what four bits per weight cost.

    ``relative_error`` is the norm of the error of all weights, as a share of that of their difference to the start.
    ``cosine`` and ``start_cosine`` are the least and the mean cosine over the texts of the data set ``on``: of
    the run's vectors to those of the packed model, and to those of the start.

    Raises:
        PanglotError: The run is not finished, did not start from the bundled model, or is of another architecture.
    """
    check_run(run)
    compared = [*rows(figures)]
    e5 = read_source()
    start, trained = weights_of(e5), read_weights(run / "model.safetensors")
    with located(file=run / "model.safetensors"):
        difference = subtract(start, trained)
    with atomic_folder(output) as part:
        write_difference(part / DIFFERENCE, difference, SOURCE_SHA256)
        packed = add(start, read_difference(part / DIFFERENCE, SOURCE_SHA256))
        with tempfile.TemporaryDirectory() as folder:
            write_model(e5, packed, Path(folder) / SMALL)
            loss: dict[str, Any] = {
                "relative_error": relative_error(start, trained, packed),
                **cosines(run, Path(folder) / SMALL, on),
            }
        if not loss["cosine"]["least"] >= LEAST:
            problem = f"a vector of the packed model has the cosine {loss['cosine']['least']:.4f} to that of the run"
            raise PanglotError(problem, file=run, hint="pack a model with the prompts and modules of the bundled one")
        for name in PAPERS[1:]:
            shutil.copyfile(run / name, part / name)
        write_text(part / PAPERS[0], card((run / "README.md").read_text("utf-8"), loss, on, compared))
    return loss


def check_run(run: Path) -> None:
    """Refuse a folder that is not a finished run from the bundled model, or that has modules which that lacks."""
    for name in ("run.json", "modules.json", *PAPERS):
        if not (run / name).is_file():
            raise PanglotError(f"this is no finished run, because it has no {name}", file=run, hint="finish the run")
    start = json.loads((run / "run.json").read_text("utf-8"))["settings"]["model"]
    if start != BUNDLED:
        problem = f"the run started from {start}, and only a difference to {BUNDLED} is packed"
        raise PanglotError(problem, file=run / "run.json", field="model", hint=f"train from {BUNDLED}")
    modules = [str(each["type"]).rpartition(".")[2] for each in json.loads((run / "modules.json").read_text("utf-8"))]
    if modules != ["Transformer", "Pooling", "Normalize"]:
        problem = f"only Transformer, Pooling, Normalize are packed, got {', '.join(modules)}"
        raise PanglotError(problem, file=run / "modules.json", hint="pack a model without further modules")


def read_weights(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights of a safetensors file."""
    from safetensors.numpy import load_file

    return {name: np.asarray(tensor, np.float32) for name, tensor in load_file(file).items()}


def relative_error(start: Weights, trained: Weights, packed: Weights) -> float:
    """Return the norm of the packed weights' error divided by that of the trained weights' difference to the start."""

    def squares(a: Weights, b: Weights) -> float:
        return sum(float(np.square(a[name] - b[name], dtype=np.float64).sum()) for name in a if a[name] is not b[name])

    whole = squares(trained, start)
    return (squares(packed, trained) / whole) ** 0.5 if whole else 0.0


def cosines(run: Path, packed: Path, on: str) -> dict[str, dict[str, float]]:
    """Return least and mean cosine of the run's vectors to those of the packed model and of the start."""
    collection = panglot.read(on)
    questions, passages = (side["text"].to_pylist() for side in (collection.questions, collection.passages))

    def vectors(model: str | Path) -> npt.NDArray[np.float32]:
        encoder = panglot.load(model, precision="fp32")
        return np.concatenate([encoder.encode(questions, "question"), encoder.encode(passages, "passage")])

    theirs = vectors(run)
    found = {"cosine": (theirs * vectors(packed)).sum(1), "start_cosine": (theirs * vectors(BUNDLED)).sum(1)}
    return {name: {"least": float(each.min()), "mean": float(each.mean())} for name, each in found.items()}


def card(of_run: str, loss: Mapping[str, Any], on: str, found: Sequence[tuple[Sequence[str], bool]]) -> str:
    """Return the card of the packed model: that of the run, with figures of its own and with what packing cost.

    ``found`` are the :func:`rows` of its table.
    """
    from huggingface_hub import ModelCard

    head: Any = ModelCard(of_run).data
    head.model_name, head.eval_results = SMALL, None
    _, title, *parts = re.split(r"(?m)^# |^## ", of_run.replace("\r\n", "\n"))
    name = title.partition("\n")[0]
    sections = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}
    about = re.sub(r"```python.*?```", "", title.partition("\n")[2], flags=re.DOTALL).strip()
    compared = table(["", BUNDLED, SMALL, "difference"], [row for row, _ in found])
    losses = [f"- {row[0]}: {row[3]}" for row, is_loss in found if is_loss]
    where = "\n".join(losses) or "Nowhere that was measured." if found else "Not measured yet."
    return f"""---
{head.to_yaml()}
---

# {SMALL}

{about.replace(name, SMALL)} It comes with panglot, as its difference to `{BUNDLED}` in four bits per weight.

```python
import panglot

model = panglot.load("{SMALL}")
```

The folder in panglot's cache is a plain sentence-transformers folder. `panglot doctor` says where it is.

## Training data

{sections["Training data"]}

## Figures

{compared if found else "Not measured yet."}

## Where it loses

{where}

## What packing cost

The weights are off by {loss["relative_error"]:.1%} of what training changed. On the texts of `{on}`, 1 − the cosine \
between vectors of the trained model and of this one is {1 - loss["cosine"]["mean"]:.1e} in the mean and \
{1 - loss["cosine"]["least"]:.1e} at most. Between the trained model and `{BUNDLED}`, it is \
{1 - loss["start_cosine"]["mean"]:.1e} in the mean.

## Recipe

{sections["Recipe"]}
"""


def rows(files: Sequence[Path]) -> Iterator[tuple[tuple[str, str, str, str], bool]]:
    """Yield a row of the card's table per data set and figure, and whether the packed model is worse than the start."""
    for file in files:
        with located(file=file):
            results = read_results(json.loads(file.read_text("utf-8")))
            if missing := [name for name in (BUNDLED, SMALL) if name not in results.models]:
                hint = f"compare {BUNDLED} and {SMALL} with --json"
                raise PanglotError(f"the figures are not of {missing[0]}", field="models", hint=hint)
        for dataset in results.datasets:
            for each in dataset.headline:
                if each.estimates.keys() >= {BUNDLED, SMALL}:
                    yield _row(dataset.name, each)


def _row(dataset: str, found: Comparison) -> tuple[tuple[str, str, str, str], bool]:
    before, after = (found.estimates[name].value for name in (BUNDLED, SMALL))
    form = "+.0f" if found.measure.key == "rank_distance" else "+.3f"
    text = format(after - before, form)
    for each in found.differences:
        if {each.a, each.b} == {BUNDLED, SMALL} and each.estimate.interval:
            # A difference is that of `a` to `b`.
            ends = sorted(end if each.a == SMALL else -end for end in each.estimate.interval)
            text += f" [{format(ends[0], form)}, {format(ends[1], form)}]"
    row = (f"{dataset}, {found.heading}", format(before, form[1:]), format(after, form[1:]), text)
    return row, after > before if found.measure.lower else after < before


def main() -> int:
    """Pack a run and print what it cost."""
    options = parse_arguments()
    try:
        loss = pack(options.run, options.output, options.figures, options.on)
    except PanglotError as error:
        print(f"small: {error}", file=sys.stderr)
        return 2
    print(json.dumps(loss, indent=2))
    print(f"{options.output}: {folder_bytes(options.output) / 1e6:.1f} MB")
    if options.output == TRAINED[SMALL]:
        size = wheel_bytes()
        print("the wheel cannot be built here" if size is None else f"wheel: {size / 1e6:.1f} MB")
        print(f"Next: panglot compare --suite forms {BUNDLED} {options.run} {SMALL} --json figures.json")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("action", choices=["pack"])
    parser.add_argument("run", type=Path, help="finished run folder of `panglot train`")
    parser.add_argument("--output", type=Path, default=TRAINED[SMALL], help="folder to write to; default: the package")
    parser.add_argument(
        "--figures", type=Path, action="append", default=[], help="JSON of `panglot compare`; repeat for more"
    )
    parser.add_argument("--on", default="starter:dev", help="data set whose vectors are compared")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
