"""Pack the model of a run folder as panglot-small: its difference to the bundled model, with its card and its recipe.

    python benchmarks/small.py pack runs/small
    panglot compare --suite forms bundled runs/small panglot-small --json figures.json
    python benchmarks/small.py pack runs/small --figures figures.json

Of an average of runs (`panglot average`), name the runs too: `pack runs/averaged --runs runs/a runs/b`.

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
from _small_difference import subtract, write_difference
from panglot._errors import PanglotError, located
from panglot._files import atomic_folder, write_text
from panglot.encoders.bundled import SOURCE_SHA256, read_source, weights_of, write_model
from panglot.encoders.difference import add, read_difference
from panglot.encoders.model_folders import BUNDLED, DIFFERENCE, SMALL, TRAINED, shipped_folder
from panglot.encoders.open_model import folder_digest
from panglot.report.evaluations import Comparison, read_results
from start import wheel_bytes

#: The least cosine of a packed model's vectors to those of its run, below which something else than rounding differs.
LEAST = 0.999
#: What `panglot average` writes beside a model.
AVERAGE = "average.json"

Weights = Mapping[str, npt.NDArray[np.float32]]


def pack(
    model: Path, output: Path, figures: Sequence[Path] = (), on: str = "starter:dev", runs: Sequence[Path] = ()
) -> dict[str, Any]:
    """Write the files of the model in ``model`` to the folder ``output``, and return what four bits per weight cost.

    ``model`` is a run folder, or the average of ``runs``.
    ``relative_error`` is the norm of the error of all weights, as a share of that of their difference to the start.
    ``cosine`` and ``start_cosine`` are the least and the mean cosine over the texts of the data set ``on``: of
    the model's vectors to those of the packed model, and to those of the start.

    Raises:
        PanglotError: A run is not finished or did not start from the bundled model, the model is of another
            architecture or the average of other models.
    """
    check_parts(model, runs)
    runs = runs or [model]
    for each in runs:
        check_run(each)
    check_modules(model)
    compared = [*rows(figures)]
    e5 = read_source()
    start, trained = weights_of(e5), read_weights(model / "model.safetensors")
    with located(file=model / "model.safetensors"):
        difference = subtract(start, trained)
    with atomic_folder(output) as part:
        write_difference(part / DIFFERENCE, difference, SOURCE_SHA256)
        packed = add(start, read_difference(part / DIFFERENCE, SOURCE_SHA256))
        with tempfile.TemporaryDirectory() as folder:
            write_model(e5, packed, Path(folder) / SMALL)
            loss: dict[str, Any] = {
                "relative_error": relative_error(start, trained, packed),
                **cosines(model, Path(folder) / SMALL, on),
            }
        if not loss["cosine"]["least"] >= LEAST:
            problem = (
                f"a vector of the packed model has the cosine {loss['cosine']['least']:.4f} to that of the trained one"
            )
            raise PanglotError(problem, file=model, hint="pack a model with the prompts and modules of the bundled one")
        for number, each in enumerate(runs, 1):
            mark = f"-{number}" if len(runs) > 1 else ""
            shutil.copyfile(each / "recipe.toml", part / f"recipe{mark}.toml")
            shutil.copyfile(each / "run.json", part / f"run{mark}.json")
        if (model / AVERAGE).is_file():
            shutil.copyfile(model / AVERAGE, part / AVERAGE)
        texts = [(each / "README.md").read_text("utf-8") for each in (model, *runs)]
        write_text(part / "README.md", card(texts[0], texts[1:], loss, on, compared))
    return loss


def check_parts(model: Path, runs: Sequence[Path]) -> None:
    """Refuse an average of other models than ``runs`` and the bundled one."""
    file = model / AVERAGE
    if not file.is_file():
        if runs:
            hint = "leave --runs out, or name the folder of panglot average"
            raise PanglotError(f"this is no average, because it has no {AVERAGE}", file=model, hint=hint)
        return
    found = json.loads(file.read_text("utf-8"))
    known = {folder_digest(each) for each in (shipped_folder(BUNDLED), *runs)}
    for name, each in zip(found["models"], found["fingerprints"], strict=True):
        if each not in known:
            problem = f"this is an average with {name}, which is neither {BUNDLED} nor among --runs as it was"
            raise PanglotError(problem, file=file, hint="name all runs that were averaged with --runs")


def check_run(run: Path) -> None:
    """Refuse a folder that is not a finished run from the bundled model."""
    for name in ("run.json", "modules.json", "README.md", "recipe.toml"):
        if not (run / name).is_file():
            raise PanglotError(f"this is no finished run, because it has no {name}", file=run, hint="finish the run")
    start = json.loads((run / "run.json").read_text("utf-8"))["settings"]["model"]
    if start != BUNDLED:
        problem = f"the run started from {start}, and only a difference to {BUNDLED} is packed"
        raise PanglotError(problem, file=run / "run.json", field="model", hint=f"train from {BUNDLED}")


def check_modules(model: Path) -> None:
    """Refuse a model that has modules which the bundled one lacks."""
    modules = [str(each["type"]).rpartition(".")[2] for each in json.loads((model / "modules.json").read_text("utf-8"))]
    if modules != ["Transformer", "Pooling", "Normalize"]:
        problem = f"only Transformer, Pooling, Normalize are packed, got {', '.join(modules)}"
        raise PanglotError(problem, file=model / "modules.json", hint="pack a model without further modules")


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


def cosines(trained: Path, packed: Path, on: str) -> dict[str, dict[str, float]]:
    """Return least and mean cosine of the trained model's vectors to those of the packed model and of the start."""
    collection = panglot.read(on)
    questions, passages = (side["text"].to_pylist() for side in (collection.questions, collection.passages))

    def vectors(model: str | Path) -> npt.NDArray[np.float32]:
        encoder = panglot.load(model, precision="fp32")
        return np.concatenate([encoder.encode(questions, "question"), encoder.encode(passages, "passage")])

    theirs = vectors(trained)
    found = {"cosine": (theirs * vectors(packed)).sum(1), "start_cosine": (theirs * vectors(BUNDLED)).sum(1)}
    return {name: {"least": float(each.min()), "mean": float(each.mean())} for name, each in found.items()}


def card(
    text: str, of_runs: Sequence[str], loss: Mapping[str, Any], on: str, found: Sequence[tuple[Sequence[str], bool]]
) -> str:
    """Return the card of the packed model, with the data and recipes of its runs, figures and what packing cost.

    ``text`` is the card of the trained model, ``of_runs`` are those of its runs, and ``found`` are the :func:`rows` of
    its table.
    """
    from huggingface_hub import ModelCard

    head: Any = ModelCard(of_runs[0]).data
    head.model_name, head.eval_results = SMALL, None
    for field in ("language", "datasets"):
        every = {each for run in of_runs for each in getattr(ModelCard(run).data, field, None) or ()}
        setattr(head, field, sorted(every) or None)
    name, about, _ = sections_of(text)
    about = re.sub(r"```python.*?```", "", about, flags=re.DOTALL).strip()
    # A run in a folder that begins with the same name keeps its own.
    about = re.sub(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", SMALL, about)
    compared = table(["", BUNDLED, SMALL, "difference"], [row for row, _ in found])
    losses = [f"- {row[0]}: {row[3]}" for row, is_loss in found if is_loss]
    where = "\n".join(losses) or "Nowhere that was measured." if found else "Not measured yet."
    return f"""---
{head.to_yaml()}
---

# {SMALL}

{about} The model comes with panglot, as its difference to `{BUNDLED}` in four bits per weight.

```python
import panglot

model = panglot.load("{SMALL}")
```

The folder in panglot's cache is a plain sentence-transformers folder. `panglot doctor` says where it is.

## Training data

{_of_each(of_runs, "Training data")}

## Figures

{compared if found else "Not measured yet."}

## Where it loses

{where}

## What packing cost

The packed weights differ from the trained ones by {loss["relative_error"]:.1%} of what training changed. \
On the texts of `{on}`, 1 − the cosine \
between vectors of the trained model and of this one is {1 - loss["cosine"]["mean"]:.1e} in the mean and \
{1 - loss["cosine"]["least"]:.1e} at most. Between the trained model and `{BUNDLED}`, it is \
{1 - loss["start_cosine"]["mean"]:.1e} in the mean.

## Recipe

{_of_each(of_runs, "Recipe")}
"""


def sections_of(text: str) -> tuple[str, str, dict[str, str]]:
    """Return the title of a card, what stands below it, and the sections by their headings."""
    _, title, *parts = re.split(r"(?m)^# |^## ", text.replace("\r\n", "\n"))
    name, _, about = title.partition("\n")
    return name, about, {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


def _of_each(cards: Sequence[str], section: str) -> str:
    """Return a section of each card. What they share stands there once, with the lines in which the others differ."""
    found = [(name, sections[section]) for name, _, sections in map(sections_of, cards)]
    (first, shared), *others = found
    if all(each == shared for _, each in others):
        return shared
    parts = [f"### {first}\n\n{shared}"]
    for name, each in others:
        lines, known = each.splitlines(), shared.splitlines()
        text = each
        if len(lines) == len(known):
            other = [line for line, before in zip(lines, known, strict=True) if line != before]
            # What the card says below the recipe is no TOML.
            below = [line for line in other if line.startswith(("Versions: ", "Machine: "))]
            recipe = "\n".join(line for line in other if line not in below)
            text = "\n\n".join([f"As {first}, except:", f"```toml\n{recipe}\n```", *below])
        parts.append(f"### {name}\n\n{text}")
    return "\n\n".join(parts)


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
        loss = pack(options.model, options.output, options.figures, options.on, options.runs)
    except PanglotError as error:
        print(f"small: {error}", file=sys.stderr)
        return 2
    print(json.dumps(loss, indent=2))
    print(f"{options.output}: {folder_bytes(options.output) / 1e6:.1f} MB")
    if options.output == TRAINED[SMALL]:
        size = wheel_bytes()
        print("the wheel cannot be built here" if size is None else f"wheel: {size / 1e6:.1f} MB")
        print(f"Next: panglot compare --suite forms {BUNDLED} {options.model} {SMALL} --json figures.json")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("action", choices=["pack"])
    parser.add_argument("model", type=Path, help="finished run folder of `panglot train`, or `panglot average` of some")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="run folders that were averaged")
    parser.add_argument("--output", type=Path, default=TRAINED[SMALL], help="folder to write to; default: the package")
    parser.add_argument(
        "--figures", type=Path, action="append", default=[], help="JSON of `panglot compare`; repeat for more"
    )
    parser.add_argument("--on", default="starter:dev", help="data set whose vectors are compared")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
