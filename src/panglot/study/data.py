"""The collections of a study: parts of test sets, and training sets without the texts of the test sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot._files import digest, lock, write_json
from panglot.data.collection import Collection
from panglot.data.language import canonical
from panglot.data.overlap import hash_texts
from panglot.data.transform import concatenate, exclude, hold_out, sample
from panglot.datasets import registry
from panglot.study.design import EACH, Study
from panglot.study.languages import LanguageSet, nested


@dataclass(frozen=True)
class StudyData:
    """What the cells of a study are trained and measured on.

    Attributes:
        key: Digest of what the data were made from.
        training: Folders of the training sets.
        dev: Folder of the rows held out of them, in the languages of the trials, to choose learning rates by.
        tests: The test sets, by name.
        languages: The training languages at each size of the study.
        removed: Training set → test set → how many question groups were excluded because of it.
    """

    key: str
    training: tuple[Path, ...]
    dev: Path
    tests: dict[str, Collection]
    languages: dict[int, LanguageSet]
    removed: dict[str, dict[str, int]]


def prepare(study: Study, data_dir: Path | None) -> StudyData:
    """Return the data of a study. The first worker makes them while others wait.

    Raises:
        PanglotError: A set is not available, or nothing of it is left.
    """
    dev = [study.rates.dev_share, study.rates.size] if study.rates else None
    if study.rates and study.rates.languages:
        dev = [*(dev or []), list(study.rates.languages)]
    key = digest(json.dumps([study.on, [[t.on, t.share, t.languages] for t in study.tests], dev]))
    # The folder is named by the key, so that what a killed worker left is never taken for the data of another study.
    folder = study.output / "data" / key[:12]
    about = folder / "material.json"
    with lock(folder / "lock"):
        if not about.exists():
            _make(study, data_dir, folder, about)
    made: dict[str, Any] = json.loads(about.read_text("utf-8"))
    training = tuple(folder / name for name in made["training"])
    tests = {name: replace(Collection.open(folder / place), name=name) for name, place in made["tests"].items()}
    return StudyData(key, training, folder / "dev", tests, _languages(study, made["languages"]), made["removed"])


def _make(study: Study, data_dir: Path | None, folder: Path, about: Path) -> None:
    tests: dict[str, str] = {}
    held: list[Any] = []
    for number, test in enumerate(study.tests):
        collection = registry.read(test.on, data_dir=data_dir, languages=test.languages or None)
        if missing := sorted({canonical(code) for code in test.languages} - set(collection.languages)):
            raise PanglotError(f"{test.on} has no text in {', '.join(missing)}", file=study.file,
                               field="tests.languages", hint="remove them")  # fmt: skip
        # The whole set is excluded from training, including the part that is not measured.
        held.append(hash_texts(collection))
        part = collection if test.share == 1 else sample(collection, test.share, 0)
        place = f"test-{number}"
        part.save(folder / place)
        tests[test.on] = place
    languages: set[str] = set()
    removed: dict[str, dict[str, int]] = {}
    training: list[str] = []
    dev: list[Collection] = []
    for number, name in enumerate(study.on):
        collection = registry.read(name, data_dir=data_dir)
        kept, shared = exclude(collection, held)
        removed[name] = {found.test: found.groups for found in shared}
        languages.update(kept.languages)
        if study.rates is not None:
            kept, part = hold_out(kept, study.rates.dev_share, 0)
            dev.append(part)
        training.append(f"train-{number}")
        replace(kept, name=name).save(folder / training[-1])
    if study.rates is not None and (whole := concatenate(dev)) is not None:
        size = study.rates.size if study.rates.size not in (None, EACH) else study.sizes[-1]
        chosen = study.rates.languages or _languages(study, sorted(languages))[size].languages
        whole.select([canonical(code) for code in chosen]).save(folder / "dev")
    write_json(about, {"training": training, "tests": tests, "languages": sorted(languages), "removed": removed})


def _languages(study: Study, languages: Sequence[str]) -> dict[int, LanguageSet]:
    sizes = [size or None for size in study.sizes]
    if study.rates is not None and study.rates.size not in (None, EACH):
        sizes.append(study.rates.size or None)
    return {size or 0: nested(languages, [size])[0] for size in sizes}
