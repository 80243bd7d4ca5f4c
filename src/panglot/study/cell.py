"""One cell of a study: train, measure, and keep what tables and tests need."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_file, digest, is_locked, lock, write_json
from panglot.batching.table import is_english
from panglot.data.collection import Collection
from panglot.data.letters import lines_of
from panglot.encoders.model_folders import TRAINED, source_digest
from panglot.evaluation.bootstrap import PerQuestion, Sums
from panglot.evaluation.evaluate import Evaluation, evaluate
from panglot.study.data import SourceDigest, StudyData, changed, split_seen
from panglot.study.design import START, Cell, Study
from panglot.training.settings import RENAMED

#: The figures whose sums over question groups are kept.
_KEPT = (
    "monolingual.mAP", "crosslingual.mAP", "multilingual.mAP", "multilingual.rank_distance",
    "monolingual.R@1", "crosslingual.R@1", "multilingual.R@10", "multilingual.self_preference@10",
)  # fmt: skip
_KEPT_FILES = ("log.jsonl", "recipe.toml", "run.json")


@dataclass(frozen=True)
class CellFolder:
    """The folder of a cell: ``run/`` during training, then ``cell.json`` and ``sums.npz``, or ``failed.json``."""

    path: Path

    @property
    def done(self) -> bool:
        """Whether the cell is measured."""
        return (self.path / "cell.json").exists()

    @property
    def failed(self) -> bool:
        """Whether the cell failed and has not been run successfully since."""
        return (self.path / "failed.json").exists()

    @property
    def lock(self) -> Path:
        """The lock file, held by the process that runs the cell."""
        return self.path / "lock"

    @property
    def taken(self) -> bool:
        """Whether a process runs the cell."""
        return is_locked(self.lock)

    def read(self) -> dict[str, Any]:
        """Return what ``cell.json`` holds."""
        return json.loads((self.path / "cell.json").read_text("utf-8"))


def cell_folder(study: Study, cell: Cell) -> CellFolder:
    """Return the folder of a cell, which need not exist."""
    return CellFolder(study.output / "cells" / cell.name)


def recipe_of(study: Study, cell: Cell, data: StudyData, rate: float | None) -> dict[str, Any]:
    """Return the training settings of a cell."""
    found: dict[str, Any] = {
        **study.train,
        **study.strategy(cell.strategy).settings,
        "on": [str(folder) for folder in data.training],
        "languages": list(data.languages[cell.size]),
        "seed": cell.seed,
        "output": str(cell_folder(study, cell).path / "run"),
    }
    if found.get("code_switch", "none") != "none" and found.get("batches") == "english":
        # Only the English text is used, switched into the languages that other strategies train on.
        found["code_switch_languages"] = [code for code in found["languages"] if not is_english(code)]
        found["languages"] = [code for code in found["languages"] if is_english(code)]
    learning_rate = cell.rate if cell.rate is not None else rate
    if learning_rate is not None:
        found["learning_rate"] = learning_rate
    if cell.rate is not None:
        # A trial is measured once, at its end, on the same rows for every strategy.
        found |= {"dev": str(data.dev), "eval_every": 1_000_000}
    return found


def cell_key(study: Study, cell: Cell, data: StudyData, rate: float | None) -> str:
    """Return the digest of everything that a cell's figures depend on."""
    recipe = {} if cell.strategy == START else recipe_of(study, cell, data, rate)
    # Cells of earlier versions were hashed with the old names of settings and must keep their keys.
    old_names = {new: old for old, new in RENAMED.items()}
    recipe = {old_names.get(name, name): value for name, value in recipe.items()}
    model = study.train.get("model", "bundled")
    parts = [data.key, model, {**recipe, "output": "", "on": "", "dev": ""}]
    if model in TRAINED:  # Another version of panglot may have other weights of this name.
        parts.append(source_digest(model))
    if asked_in := [[test.on, test.asked_in] for test in study.tests if test.asked_in]:
        parts.append(asked_in)
    return digest(json.dumps(parts, sort_keys=True))


def check(study: Study, cell: Cell, data: StudyData, rate: float | None) -> None:
    """Check that a finished cell was made with the study's present settings and data."""
    folder = cell_folder(study, cell)
    if not folder.done:
        return
    about = folder.read()
    if about["key"] != cell_key(study, cell, data, rate):
        raise outdated("this cell was made with other settings or data than the study has now", folder.path)
    if name := changed(_sources(about), data.sources):
        raise outdated(f"this cell was made from another {name} than the study has now", folder.path)


def on_same_data(abouts: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether cells were measured on the same data, as far as their ``cell.json`` say."""
    known = [found for about in abouts if (found := _sources(about))]
    return len({about.get("material") for about in abouts}) < 2 and not any(changed(known[0], each) for each in known)


def _sources(about: Mapping[str, Any]) -> list[SourceDigest]:
    """Return the data sets that a cell's data were made from, or nothing for cells of earlier versions."""
    return [SourceDigest(**each) for each in about.get("sources", ())]


def outdated(problem: str, place: Path, remove: str = "the folder to run the cell again") -> PanglotError:
    """Return the error that a finished cell does not belong to the present study."""
    return PanglotError(problem, file=place, hint=f"remove {remove}, or give the study another output")


def run_cell(
    study: Study, cell: Cell, data: StudyData, rate: float | None, *, data_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> bool:  # fmt: skip
    """Train and measure a cell from where an earlier process stopped, or return False if another process runs it.

    An error in the settings, in the data or of the loss is also written to ``failed.json``.
    """
    folder = cell_folder(study, cell)
    with lock(folder.lock, wait=False) as held:
        if not held:
            return False
        try:
            check(study, cell, data, rate)
            if not folder.done:
                _run(study, cell, data, rate, folder.path, data_dir, progress)
        except PanglotError as error:
            fail(study, cell, 2, str(error))
            raise
        (folder.path / "failed.json").unlink(missing_ok=True)
        _tidy(folder.path)
    return True


def _run(
    study: Study, cell: Cell, data: StudyData, rate: float | None, folder: Path, data_dir: Path | None,
    progress: Callable[[str], None] | None,
) -> None:  # fmt: skip
    import panglot
    from panglot.encoders.cache import Cached
    from panglot.encoders.load import load

    about: dict[str, Any] = {"key": cell_key(study, cell, data, rate), "material": data.key, **asdict(cell),
                             "sources": [asdict(source) for source in data.sources],
                             "training": None, "languages": []}  # fmt: skip
    if cell.strategy == START:
        model: Any = str(study.train.get("model", "bundled"))
    else:
        recipe = recipe_of(study, cell, data, rate)
        # The texts of the test sets are excluded from the study's data already.
        panglot.train(**recipe, exclude=[], data_dir=data_dir)
        about["training"] = {**_training(folder / "run"), "learning_rate": recipe.get("learning_rate")}
        about["recipe"] = {name: value for name, value in recipe.items() if name not in {"output", "languages"}}
        if cell.rate is not None:
            write_json(folder / "cell.json", about)
            return
        # The vectors are cached beside the model, so that a killed measurement can continue. Both are removed later.
        model = Cached(load(folder / "run", name=cell.name), folder / "vectors")
        about["languages"] = list(data.languages[cell.size])
    found = evaluate(model, list(data.tests.values()), draws=0, progress=progress)
    with atomic_file(folder / "sums.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **_sums(study, cell, data, found))
    # A cell with this file counts as done, so it comes last.
    write_json(folder / "cell.json", {**about, "figures": _without_matrices(found)})


def _sums(study: Study, cell: Cell, data: StudyData, found: Evaluation) -> dict[str, Any]:
    """Return ``test|slice|figure|total`` and ``…|number`` → sums over question groups."""
    sums: dict[str, Any] = {}
    for name, collection in data.tests.items():
        asked_in = next(test.asked_in for test in study.tests if test.on == name)
        parts = {part: (codes, codes) for part, codes in _slices(data, cell, collection).items()}
        parts |= {part: (codes, collection.languages) for part, codes in asked_in.items()}
        for part, (asked, answered) in parts.items():
            for figure, both in _compact(found.per_question[name], asked, answered).items():
                sums |= {f"{name}|{part}|{figure}|{kind}": values for kind, values in both.items()}
    return sums


def _slices(data: StudyData, cell: Cell, collection: Collection) -> dict[str, tuple[str, ...]]:
    """Return the languages of a test set over which figures are computed, by slice.

    ``all``, those in which the cell saw training text (``seen``) or did not (``unseen``), and those in which no cell of
    the study did (``never``), which are the same at every size.
    """
    every = collection.languages
    largest = max(data.languages.values(), key=len)
    found = {"all": every, "never": split_seen(largest, every)[1]}
    # The start is compared with the cells of every size, each on the languages that those have seen.
    sizes = {f"-{size}": size for size in data.languages} if cell.strategy == START else {"": cell.size}
    for suffix, size in sizes.items():
        found[f"seen{suffix}"], found[f"unseen{suffix}"] = split_seen(data.languages[size], every)
    return {name: languages for name, languages in found.items() if languages}


def _compact(
    questions: PerQuestion, asked_in: tuple[str, ...], answered_in: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Return sums over question groups, of questions and passages in some languages."""
    asked, chosen = (np.asarray([code in some for code in questions.languages]) for some in (asked_in, answered_in))
    asked = asked[questions.language]
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name in (name for name in _KEPT if name in questions.values):
        values = questions.values[name]
        # Values without an answering language have one column; the others, one per language of the passages.
        inside = asked if values.ndim == 1 else asked[:, None] & chosen
        sums = Sums.of(np.where(inside, values, np.nan), questions.language, questions.group)
        total, number = sums.total, sums.number
        if not number.size:
            continue
        # If all language pairs have equally many values in each group, as in parallel data, the mean of the pairs as a
        # single column gives the same figure on every draw of groups.
        if (number == number[:, :1]).all():
            total, number = total.mean(axis=1, keepdims=True), number[:, :1]
        found[name] = {"total": total.astype(np.float32), "number": number.astype(np.uint16)}
    return found


def _without_matrices(found: Evaluation) -> dict[str, Any]:
    """Return the figures without the matrices of languages, which are large for a hundred languages."""
    figures = json.loads(json.dumps(found.figures))
    matrices = {"crosslingual": "matrix", "multilingual": "language_share@10", "geometry": "mean_distance"}
    for dataset in figures["datasets"].values():
        for part, key in matrices.items():
            (dataset.get(part) or {}).pop(key, None)
    return figures


def _training(folder: Path) -> dict[str, Any]:
    """Return steps, pairs, seconds, dev figures and data digests from the log of a run folder."""
    lines = list(map(json.loads, lines_of((folder / "log.jsonl").read_text("utf-8"))))
    last = [line for line in lines if "loss" in line][-1]
    met: dict[str, set[str]] = {}
    for line in lines:
        for kind, codes in line.get("met", {}).items():
            met.setdefault(kind, set()).update(codes)
    head = json.loads((folder / "run.json").read_text("utf-8"))
    found: dict[str, Any] = {"steps": last["step"], "pairs": last["pairs"], "seconds": last["seconds"],
                             "data": head["data"], "precision": head.get("precision", ""),
                             "languages_met": {kind: len(codes) for kind, codes in sorted(met.items())}}  # fmt: skip
    for key in ("conflicts", "cosine"):
        if values := [line[key] for line in lines if key in line]:
            found[key] = float(np.mean(values))
    if dev := [line["dev"] for line in lines if "dev" in line]:
        found["dev"] = dev[-1]
    return found


def _tidy(folder: Path) -> None:
    """Remove the weights, checkpoints and vectors of a finished cell."""
    shutil.rmtree(folder / "vectors", ignore_errors=True)
    if (folder / "run").is_dir():
        for path in (folder / "run").iterdir():
            if path.name not in _KEPT_FILES:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def fail(study: Study, cell: Cell, status: int, error: str) -> None:
    """Write to ``failed.json`` that a cell failed, and why."""
    path = cell_folder(study, cell).path / "failed.json"
    write_json(path, {**asdict(cell), "status": status, "error": error[-2000:]})
