"""The collections of a study: parts of test sets, training sets without the texts of the test sets, and languages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError, located
from panglot._files import digest, digest_once, file_digest, lock, write_json
from panglot.data.collection import Collection
from panglot.data.language import canonical
from panglot.data.overlap import hash_texts
from panglot.data.transform import concatenate, hold_out, sample
from panglot.datasets import registry
from panglot.datasets.decontaminate import exclude
from panglot.study.design import EACH, Study

# The order is written down so that a nested set stays the same when a data set is added. It follows a rule, applied to
# mlqa, xor-questions, libreoffice-help, ntrex-128 and sib-200. English is first. The other languages are sorted by the
# number of these sets that have them, the largest first. Among equals, the scripts take turns in the order of their
# ISO 15924 codes, each with its languages by code. Variants of a listed language follow, by code. Two languages of
# XQuAD-R and two of TyDi QA come last, so that these test sets have unseen languages at every size except the largest.
_NAMES = (
    "en ar ru zh ja ko de es fi vi bn hi km ca dz cs da et eu fr gl hu id it nl om pl pt sl sv tr ckb hy ba mr am "
    "ka gu pa yue he kn lo af ml my si ta bo fa be ne ti az sd bg bem ug kk bs ur ky cy mk ee mn fil sr fj tg fo "
    "tt ga uk ha hr ig is ku lb lt lv mg mi ms mt nb nn nso ny ro rw sk sm sn so sq ss tk tn uz wo xh yo zu "
    "acm-Arab as awa yi ace shn nqo sat or shi dv acq-Arab mni bho ak tzm-Tfng aeb hne ast ajp-Arab mag ay apc "
    "mai ban ars sa bjn ary bm arz bug azb-Arab ceb ks cjk-Latn pbt-Arab crh-Latn ps din-Latn dyu eo ff fon fur "
    "fuv gd gn gsw-u-sd-chbe gsw-u-sd-chzh hmn ht ilo jv kab kac kam kbp kea kg ki kmb kr lg li lij lmo ln ltg "
    "lua luo lus-Latn mey min mos nd nus oc pag pap quy-Latn rn sc scn sg st su szl taq to tpi ts tum ty umb ve "
    "vec war ace-Arab ak-x-twi ar-Latn bjn-Arab ca-valencia en-GB en-IN en-US es-MX es-x-ref2 fa-AF fr-CA "
    "kr-Arab ks-Deva min-Arab pt-BR sr-Latn taq-Tfng zh-Hant el sw te th"
)
ORDER = tuple(_NAMES.split())


def split_seen(trained: Iterable[str], tested: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ``tested`` languages that training has seen and those that it has not, each in the given order.

    A language is seen if any script, region or variant of it is trained on. Training on Chinese has seen Traditional
    Chinese, for example.

    >>> split_seen(("en", "zh"), ["el", "en", "zh-Hant"])
    (('en', 'zh-Hant'), ('el',))
    """
    known, every = {code.partition("-")[0] for code in trained}, tuple(tested)
    seen = tuple(code for code in every if code.partition("-")[0] in known)
    return seen, tuple(code for code in every if code not in seen)


def training_languages(languages: Iterable[str], size: int) -> tuple[str, ...]:
    """Return the first ``size`` of some languages to train on, all for 0. Those of a larger size begin with them.

    Languages join in :data:`ORDER`, and those that it does not list join last, by code.

    >>> languages = ["de", "fi", "en", "th", "qaa"]
    >>> training_languages(languages, 2), training_languages(languages, 0)
    (('en', 'de'), ('en', 'de', 'fi', 'th', 'qaa'))
    """
    place = {code: number for number, code in enumerate(ORDER)}
    joining = sorted(set(languages), key=lambda code: (place.get(code, len(place)), code))
    if size < 0 or not joining:
        raise PanglotError("a set must have at least one language", field="sizes",
                           hint="give sizes of 1 or more, and some languages")  # fmt: skip
    if size > len(joining):
        raise PanglotError(f"there are {len(joining)} languages, and every size is larger", field="sizes",
                           hint='give a smaller size, or "all", which is 0 in Python')  # fmt: skip
    return tuple(joining[: size or None])


@dataclass(frozen=True)
class SourceDigest:
    """What a data set was like: digests of its files, None without local files, and of its texts.

    Files may be others with the same texts, as when one is added that is not read. A later version may read other texts
    from the same files. So a set is the same if either is.
    """

    name: str
    files: str | None
    texts: str


def changed(before: Sequence[SourceDigest], now: Sequence[SourceDigest]) -> str | None:
    """Return the name of a data set that has changed, or None. Without digests on both sides, nothing is known."""
    for one, other in zip(before, now, strict=False):
        if one.texts != other.texts and (one.files is None or one.files != other.files):
            return one.name
    return None


@dataclass(frozen=True)
class StudyData:
    """What the cells of a study are trained and measured on.

    ``key`` is the digest of the names and settings by which the data were made. ``sources`` are the sets that they were
    made from, first the test sets. They are empty if an earlier version made the data.

    ``dev`` is the folder of the rows that are held out of the training sets, in the languages of the trials, to choose
    learning rates by.
    """

    key: str
    training: tuple[Path, ...]
    dev: Path
    tests: dict[str, Collection]
    languages: dict[int, tuple[str, ...]]
    sources: tuple[SourceDigest, ...] = ()


def prepare(study: Study, data_dir: Path | None) -> StudyData:
    """Return the data of a study. The first worker makes them while others wait.

    Raises:
        PanglotError: The data cannot be made, or a data set has changed since they were.
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
    sources = tuple(SourceDigest(**each) for each in made.get("sources", ()))
    _check_sources(study, sources, data_dir, about)
    training = tuple(folder / name for name in made["training"])
    tests = {name: replace(Collection.open(folder / place), name=name) for name, place in made["tests"].items()}
    for test in study.tests:
        for name, codes in test.asked_in.items():
            _check_languages(study, tests[test.on], codes, f"tests.asked_in.{name}")
    return StudyData(key, training, folder / "dev", tests, _languages(study, made["languages"]), sources)


def _check_sources(
    study: Study, sources: Sequence[SourceDigest], data_dir: Path | None, about: Path
) -> None:  # fmt: skip
    chosen = [*(test.languages for test in study.tests), *((),) * len(study.on)]
    for source, languages in zip(sources, chosen, strict=False):
        if (files := _files_digest(source.name, data_dir)) is None or files == source.files:
            continue
        texts = registry.read(source.name, data_dir=data_dir, languages=languages or None).digest
        if changed([source], [SourceDigest(source.name, files, texts)]):
            hint = (
                f"put its former files back, or remove {about.parent} and the cells, or give the study another output"
            )
            raise PanglotError(f"{source.name} has changed since the data of this study were made from it",
                               file=about, hint=hint)  # fmt: skip


def _files_digest(name: str, data_dir: Path | None) -> str | None:
    """Return a digest of the files of a data set, or None if it is not in local files."""
    if not (paths := registry.files_of(name, data_dir=data_dir)):
        return None
    return digest_once(paths, lambda: digest(*(part for path in paths for part in (path.name, file_digest(path)))))


def _make(study: Study, data_dir: Path | None, folder: Path, about: Path) -> None:
    tests: dict[str, str] = {}
    held: list[Any] = []
    sources: list[SourceDigest] = []
    for number, test in enumerate(study.tests):
        collection = registry.read(test.on, data_dir=data_dir, languages=test.languages or None)
        _check_languages(study, replace(collection, name=test.on), test.languages, "tests.languages")
        sources.append(SourceDigest(test.on, _files_digest(test.on, data_dir), collection.digest))
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
        sources.append(SourceDigest(name, _files_digest(name, data_dir), collection.digest))
        kept, shared = exclude(collection, held)
        removed[name] = {found.test: found.groups for found in shared}
        if study.rates is not None:
            kept, part = hold_out(kept, study.rates.dev_share, 0)
            dev.append(part)
        # Those of held-out rows alone are not trained on.
        languages.update(kept.languages)
        training.append(f"train-{number}")
        replace(kept, name=name).save(folder / training[-1])
    if study.rates is not None and dev:
        size = study.rates.size if study.rates.size not in (None, EACH) else study.sizes[-1]
        chosen = study.rates.languages or _languages(study, sorted(languages))[size]
        whole = concatenate(dev)
        _check_languages(study, whole, study.rates.languages, "rates.languages")
        whole.select([canonical(code) for code in chosen]).save(folder / "dev")
    write_json(about, {"training": training, "tests": tests, "languages": sorted(languages), "removed": removed,
                       "sources": [asdict(each) for each in sources]})  # fmt: skip


def _check_languages(study: Study, collection: Collection, codes: Iterable[str], field: str) -> None:
    if missing := sorted({canonical(code) for code in codes} - set(collection.languages)):
        problem = f"{collection.name} has no text in {', '.join(missing)}"
        raise PanglotError(problem, file=study.file, field=field, hint="remove them")


def _languages(study: Study, languages: Sequence[str]) -> dict[int, tuple[str, ...]]:
    sizes = [(size, "sizes") for size in study.sizes]
    if study.rates is not None and study.rates.size not in (None, EACH):
        sizes.append((study.rates.size, "rates.size"))
    found: dict[int, tuple[str, ...]] = {}
    for size, field in sizes:
        with located(file=study.file, field=field):
            found[size] = training_languages(languages, size)
    return found
