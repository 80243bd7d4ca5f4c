"""The collections of a study: test sets cut to size, training sets without what they share with them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot._files import digest, write_json
from panglot.data import overlap
from panglot.data.collection import Collection
from panglot.data.language import canonical
from panglot.data.transform import hold_out, joined, sample
from panglot.datasets import registry
from panglot.study.claim import claim
from panglot.study.design import EACH, Study
from panglot.study.languages import LanguageSet, nested


@dataclass(frozen=True)
class Material:
    """What the cells of a study train on and are measured on.

    Attributes:
        key: Digest of what it was made after.
        training: Folders of the training sets.
        dev: Folder of what is held out of them, in the languages of the trials, to choose learning rates by.
        tests: The test sets, by name.
        languages: The training languages of each size of the study.
        removed: Per training set, how many question groups were left out for each test set.
    """

    key: str
    training: tuple[Path, ...]
    dev: Path
    tests: dict[str, Collection]
    languages: dict[int, LanguageSet]
    removed: dict[str, dict[str, int]]


def prepare(study: Study, data_dir: Path | None) -> Material:
    """Return the material of a study, making it if it is not there; other workers wait meanwhile.

    Raises:
        PanglotError: A set is not at hand, or nothing of it is left.
    """
    dev = [study.rates.dev_share, study.rates.size] if study.rates else None
    if study.rates and study.rates.languages:
        dev = [*(dev or []), list(study.rates.languages)]
    key = digest(json.dumps([study.on, [[t.on, t.share, t.languages] for t in study.tests], dev]))
    # Another file, another folder: what a killed worker left never passes for something else.
    folder = study.output / "data" / key[:12]
    about = folder / "material.json"
    while not about.exists():
        with claim(folder) as free:
            if free and not about.exists():
                _make(study, data_dir, folder, about)
            elif not free:
                time.sleep(1)
    made: dict[str, Any] = json.loads(about.read_text("utf-8"))
    training = tuple(folder / name for name in made["training"])
    tests = {name: replace(Collection.open(folder / place), name=name) for name, place in made["tests"].items()}
    return Material(key, training, folder / "dev", tests, _languages(study, made["languages"]), made["removed"])


def _make(study: Study, data_dir: Path | None, folder: Path, about: Path) -> None:
    tests: dict[str, str] = {}
    held: list[Any] = []
    for number, test in enumerate(study.tests):
        collection = registry.read(test.on, data_dir=data_dir, languages=test.languages or None)
        if missing := sorted({canonical(code) for code in test.languages} - set(collection.languages)):
            raise PanglotError(f"{test.on} has nothing in {', '.join(missing)}", file=study.file,
                               field="tests.languages", hint="leave them out")  # fmt: skip
        # Before it is cut: no text of a test set is trained on, measured or not.
        held.append(overlap.prepare(collection))
        part = collection if test.share == 1 else sample(collection, test.share, 0)
        place = f"test-{number}"
        part.save(folder / place)
        tests[test.on] = place
    languages: set[str] = set()
    removed: dict[str, dict[str, int]] = {}
    training: list[str] = []
    dev: list[Collection] = []
    for number, wish in enumerate(study.on):
        collection = registry.read(wish, data_dir=data_dir)
        kept, shared = overlap.leave_out(collection, held)
        removed[wish] = {found.test: found.groups for found in shared}
        languages.update(kept.languages)
        if study.rates is not None:
            kept, part = hold_out(kept, study.rates.dev_share, 0)
            dev.append(part)
        training.append(f"train-{number}")
        replace(kept, name=wish).save(folder / training[-1])
    if study.rates is not None and (whole := joined(dev)) is not None:
        size = study.rates.size if study.rates.size not in (None, EACH) else study.sizes[-1]
        chosen = study.rates.languages or _languages(study, sorted(languages))[size].languages
        whole.select([canonical(code) for code in chosen]).save(folder / "dev")
    write_json(about, {"training": training, "tests": tests, "languages": sorted(languages), "removed": removed})


def _languages(study: Study, languages: Sequence[str]) -> dict[int, LanguageSet]:
    sizes = [size or None for size in study.sizes]
    if study.rates is not None and study.rates.size not in (None, EACH):
        sizes.append(study.rates.size or None)
    return {size or 0: nested(languages, [size])[0] for size in sizes}
