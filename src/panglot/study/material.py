"""The collections of a study: test sets cut to size, training sets without what they share with them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from panglot._files import digest, write_json
from panglot.corpus import overlap, registry
from panglot.corpus.collection import Collection
from panglot.corpus.split import sample
from panglot.study.claim import claim
from panglot.study.design import Study
from panglot.study.languages import LanguageSet, nested


@dataclass(frozen=True)
class Material:
    """What the cells of a study train on and are measured on.

    Attributes:
        training: Folders of the training sets.
        tests: The test sets, by name.
        languages: The training languages of each size of the study.
        removed: Per training set, how many question groups were left out for each test set.
    """

    training: tuple[Path, ...]
    tests: dict[str, Collection]
    languages: dict[int, LanguageSet]
    removed: dict[str, dict[str, int]]


def prepare(study: Study, data_dir: Path | None) -> Material:
    """Return the material of a study, making it if it is not there; other workers wait meanwhile.

    Raises:
        PanglotError: A set is not at hand, or nothing of it is left.
    """
    folder = study.output / "data"
    wanted = digest(json.dumps([study.on, [[t.on, t.share, t.languages] for t in study.tests]]))
    about = folder / "material.json"
    while not _ready(about, wanted):
        with claim(folder) as free:
            if free and not _ready(about, wanted):
                _make(study, data_dir, folder, about, wanted)
            elif not free:
                time.sleep(1)
    made: dict[str, Any] = json.loads(about.read_text("utf-8"))
    training = tuple(folder / name for name in made["training"])
    tests = {name: replace(Collection.open(folder / place), name=name) for name, place in made["tests"].items()}
    return Material(training, tests, _languages(study, made["languages"]), made["removed"])


def _ready(about: Path, wanted: str) -> bool:
    return about.exists() and json.loads(about.read_text("utf-8"))["wanted"] == wanted


def _make(study: Study, data_dir: Path | None, folder: Path, about: Path, wanted: str) -> None:
    tests: dict[str, str] = {}
    held: list[Any] = []
    for number, test in enumerate(study.tests):
        collection = registry.read(test.on, data_dir=data_dir, languages=test.languages or None)
        # Before it is cut: no text of a test set is trained on, measured or not.
        held.append(overlap.prepare(collection))
        part = collection if test.share == 1 else sample(collection, test.share, 0)
        place = f"test-{number}"
        part.save(folder / place)
        tests[test.on] = place
    languages: set[str] = set()
    removed: dict[str, dict[str, int]] = {}
    training: list[str] = []
    for wish in study.on:
        collection = registry.read(wish, data_dir=data_dir)
        kept, shared = overlap.leave_out(collection, held)
        removed[wish] = {found.test: found.groups for found in shared}
        training.append(wish.replace("/", "_").replace(":", "_"))
        replace(kept, name=wish).save(folder / training[-1])
        languages.update(kept.languages)
    found = {"wanted": wanted, "training": training, "tests": tests, "languages": sorted(languages), "removed": removed}
    write_json(about, found)


def _languages(study: Study, languages: Sequence[str]) -> dict[int, LanguageSet]:
    sizes = [size or None for size in study.sizes]
    if study.rates is not None and study.rates.size is not None:
        sizes.append(study.rates.size or None)
    return {size or 0: nested(languages, [size])[0] for size in sizes}
