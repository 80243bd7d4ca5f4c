"""Read a known data set by its name, or any data set by its path."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from panglot._errors import PanglotError
from panglot.data import ingest
from panglot.data.collection import Collection, cached, source_key
from panglot.data.files import RowError, ending_of, files, holds_rows, objects, plain_name, row_files
from panglot.data.formats import beir, squad, trec
from panglot.data.language import canonical, canonical_codes
from panglot.data.rows import Row, check_row
from panglot.datasets import hub, mteb_tasks
from panglot.datasets.catalog import CARDS, DatasetCard, DatasetSpec

STARTER_PARTS = ("train", "dev", "test")
_NO_QUESTION = RowError(1, "question", "no row with a question can be used", "add a question, or fix the rows")
_PACKAGE = resources.files("panglot.datasets")


def read(
    name_or_path: str | Path,
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    part: str | None = None,
    languages: Sequence[str] | None = None,
    language: str | None = None,
) -> Collection:
    """Return a data set as a collection.

    A known name (``xquad-r``, ``mlqa:test``, ``ntrex-128:test@passage``) is looked up under ``data_dir``, then under
    ``$PANGLOT_DATA``, then on the hub. ``hub:owner/name?question=COLUMN&passage=COLUMN&language=en`` reads columns of
    any data set on the hub, and ``mteb:TASK`` a retrieval task of mteb. Anything else is a path: a folder that
    :meth:`Collection.save` wrote, a BEIR or TREC folder, JSON lines, a JSON array, Parquet, or a SQuAD-like JSON file.
    ``PATH?language=en`` is the same as the argument ``language``, wherever a data set is named.

    Known sets and large files are parsed once, then memory-mapped from the cache. ``metadata["test_only"]`` is
    ``"yes"`` for sets that must not be trained on.

    Args:
        name_or_path: ``NAME[:PART][@CANDIDATES]`` or a path. Write ``./xquad-r`` for a folder of that name. The part
            and candidates in the name win over the arguments. A set of pairs with English is read one pair at a
            time: ``tatoeba-112:de``.
        data_dir: Folder that holds the folders of the known sets.
        candidates: ``sentence`` or ``paragraph``, if the set offers both.
        context: Append the paragraph to each sentence.
        part: The same as ``NAME:PART``.
        languages: Keep only these. For a single SQuAD-like file: its language.
        language: For a path, the language of the texts that do not name theirs, whatever the names of files say.
            Without it, a warning says what was guessed of a file's name or text.

    Raises:
        PanglotError: The name is unknown, the set is not found or lacks an option, or a file is broken.
    """
    text, languages = str(name_or_path), canonical_codes(languages) or None
    if isinstance(name_or_path, str) and is_known(text):
        spec, style = _parse(text, candidates, context, part, languages)
        collection = _read_known(spec, data_dir)
        if style:
            collection = replace(collection, name=f"{collection.name}@{style}")
    elif text.startswith("hub:"):
        collection = hub.read_name(text)
    elif text.startswith("mteb:"):
        collection = mteb_tasks.read_name(text, languages)
    else:
        path, stated = split_language(text)
        if not path.exists():
            raise _unknown(text)
        if part is not None:
            raise PanglotError(f"{text} has no parts, got part {part!r}", field="part", hint="leave it out")
        code = language or stated
        found = read_path(path, candidates=candidates, context=context, languages=languages, language=code)
        if guessed := found.metadata.get("language"):
            warnings.warn(f"{path.name}: {guessed}. Overrule it with `--language`", RuntimeWarning, stacklevel=2)
        return found
    # A reader of topics has already selected languages, and `select` needs passages.
    if not languages or collection.metadata.get("candidates") == "topics":
        return collection
    return collection.select(languages)


def read_path(
    path: Path,
    *,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
    language: str | None = None,
    rejected: list[RowError] | None = None,
) -> Collection:
    """Read a file or folder in one of the layouts that panglot knows.

    ``language`` is that of texts that do not name theirs, whatever the names of files say. The collection's
    ``metadata["language"]`` says what was guessed. With a list ``rejected``, parts of SQuAD, BEIR and TREC
    files that cannot be used are left out and added to it.

    Raises:
        PanglotError: The layout is not known, an option does not go with it, or the file is broken.
    """
    wanted = canonical_codes(languages)
    if path.is_file() and ending_of(path) == "json" and not holds_rows(path):
        _check(chosen := candidates or "paragraph", ("paragraph", "sentence"), context)
        code = language or (wanted[0] if len(wanted) == 1 else None)
        return squad.read(path, chosen, context=context, language=code, rejected=rejected)
    _check(candidates or "passage", ("passage", "paragraph"), context)
    collection = _read_passages(path, language, rejected)
    return collection.select(wanted) if wanted else collection


def _read_passages(path: Path, language: str | None, rejected: list[RowError] | None) -> Collection:
    if path.is_dir():
        if (path / "collection.json").is_file():
            return Collection.open(path)
        if any(path.glob("corpus.jsonl*")):
            return beir.read(path, language=language, rejected=rejected)
        if is_trec(path):
            return trec.read(path, language=language, rejected=rejected)
        if rows := row_files(path):
            return ingest.read_rows(rows, path.resolve().name, language=language).collection
        hint = (
            "give one with collection.json (saved by panglot), BEIR's corpus, queries and qrels, TREC's documents, "
            "topics and qrels, or files of JSON lines, Parquet, CSV or TSV"
        )
        raise PanglotError("unknown layout of a folder", file=path, hint=hint)
    if holds_rows(path):
        return ingest.read_rows([path], language=language).collection
    hint = "give .jsonl, .parquet, .csv, .tsv, a JSON array or SQuAD's .json, or .gz"
    raise PanglotError("unknown kind of file", file=path, hint=hint)


def _check(candidates: str, known: tuple[str, ...], context: bool) -> None:
    if candidates not in known:
        problem = f"`candidates` must be one of {', '.join(known)}, got {candidates!r}"
        raise PanglotError(problem, field="candidates", hint="choose one of them")
    if context and candidates != "sentence":
        raise PanglotError("`context` needs sentences", field="context", hint="choose `sentence` as candidates")


def read_usable(
    name_or_path: str | Path, *, data_dir: str | Path | None = None
) -> tuple[Collection | None, Sequence[RowError]]:
    """Return what can be used of a data set, None if that is nothing, and the rows that cannot.

    Every row of JSON lines, JSON arrays and Parquet is checked, every line of a BEIR folder, every paragraph and
    question of a SQuAD file, and every text and judgement of a TREC folder. A file of another form is one error, and
    then nothing of it can be used.
    """
    rejected: list[RowError] = []
    (path, language), known = split_language(name_or_path), is_known(str(name_or_path))
    try:
        if not known and (rows := row_files(path)):
            name = path.resolve().name if path.is_dir() else ""
            found = ingest.read_rows(rows, name, on_error="skip", language=language)
            if found.collection.questions.num_rows:
                return found
            return None, found.rejected or [_NO_QUESTION]
        if not known and path.exists():
            collection = read_path(path, language=language, rejected=rejected)
            is_beir = not (path / "collection.json").is_file() and any(path.glob("corpus.jsonl*"))
            is_empty = is_beir and not collection.questions.num_rows
            return None if is_empty else collection, rejected
        return read(name_or_path, data_dir=data_dir), ()
    except PanglotError as error:
        if known or not path.exists():
            raise
        return None, [*rejected, RowError.of(error)]


def identity(
    name_or_path: str, *, data_dir: str | Path | None = None, languages: Sequence[str] | None = None
) -> str | None:
    """Return a digest of the name, and of names, sizes and times of its files, or None for data not in local files."""
    files = files_of(name_or_path, data_dir=data_dir)
    return None if files is None else source_key(files, name=name_or_path, chosen=sorted(languages or ()))


def files_of(name_or_path: str, *, data_dir: str | Path | None = None) -> list[Path] | None:
    """Return the files that :func:`read` would read, in order. Return None for data that are not in local files."""
    if is_known(name_or_path):
        card = CARDS[set_name(name_or_path)]
        found = [find(each, data_dir) for each in (card, *(CARDS[name] for name in card.requires))]
        folders = [folder for folder in found if folder is not None]
        return [file for each in folders for file in sorted(_files_below(each))] if len(folders) == len(found) else None
    path, _ = split_language(name_or_path)
    return (sorted(_files_below(path)) if path.is_dir() else [path]) if path.exists() else None


def is_known(name: str) -> bool:
    """Return whether :func:`read` takes a name for a known set rather than for a path."""
    return set_name(name) in CARDS


def split_language(text: str | Path) -> tuple[Path, str | None]:
    """Return the path in ``PATH?language=CODE``, and the code, or None without one.

    >>> split_language("data/scifact?language=en")[1], split_language("data/scifact")[1]
    ('en', None)
    """
    path, mark, code = str(text).rpartition("?language=")
    return (Path(path), code) if mark and not Path(text).exists() else (Path(text), None)


def is_trec(folder: Path) -> bool:
    """Return whether a folder has TREC's layout."""
    return (folder / "documents").is_dir() and (folder / "topics").is_dir()


def find(card: DatasetCard, data_dir: str | Path | None = None) -> Path | None:
    """Return the folder that holds a known set, or None if it is not available."""
    return next((place for place in _places(card, data_dir) if any(place.glob(card.files))), None)


def refuse_test_set(name: str, collection: Collection, use: str, hint: str, field: str) -> None:
    """Raise a :class:`PanglotError` if a collection is a test set, whose figures its ``use`` would make worthless."""
    if collection.metadata.get("test_only") == "yes":
        problem = f"{name} is a test set, and {use} would make its figures worthless"
        raise PanglotError(problem, field=field, hint=hint)


def find_source(name: str, data_dir: str | Path | None = None) -> Path | None:
    """Return the file or folder that :func:`read` would read, or None if there is none on this machine."""
    if is_known(name):
        return find(CARDS[set_name(name)], data_dir)
    path, _ = split_language(name)
    return path if path.exists() else None


def set_name(text: str) -> str:
    """Return the name of the set in ``NAME[:PART][@CANDIDATES]``."""
    return text.partition("@")[0].partition(":")[0]


def _parse(
    text: str, candidates: str | None, context: bool, part: str | None, languages: Sequence[str] | None
) -> tuple[DatasetSpec, str]:
    """Return what to read of a known set, and the candidates that its name asks for."""
    named, _, style = text.partition("@")
    head, colon, tail = named.partition(":")
    card = CARDS[head]
    chosen = _pair(card, tail or part, languages) if card.pairs else tail if colon else part
    return card.spec(part=chosen, candidates=style or candidates, context=context, languages=languages or ()), style


def _places(card: DatasetCard, data_dir: str | Path | None) -> list[Path]:
    if card.shipped:
        return [Path(str(_PACKAGE)) / card.shipped]
    roots = [data_dir, os.environ.get("PANGLOT_DATA")]
    return [Path(root).expanduser() / card.folder for root in roots if root]


def _pair(card: DatasetCard, part: str | None, languages: Sequence[str] | None) -> str:
    """Return the language whose pair with English to read."""
    chosen = {canonical(code) for code in ([part] if part else languages or ())} - {"en"}
    if len(chosen) == 1 and chosen < set(card.languages):
        return chosen.pop()
    many = f"{card.name} consists of {len(card.languages) - 1} pairs with English, each with its own pool"
    problem = many if len(chosen) != 1 else f"{card.name} has no pair of {chosen.pop()} and English"
    raise PanglotError(problem, field="part", hint=f"read one of its languages, such as {card.name}:de")


def _read_known(spec: DatasetSpec, data_dir: str | Path | None) -> Collection:
    folder = _folder(spec.card, data_dir)
    spec = replace(spec, folders={name: _folder(CARDS[name], data_dir) for name in spec.card.requires})
    if spec.card.shipped:
        return spec.read(folder)
    sources = [path for place in (folder, *spec.folders.values()) for path in _files_below(place)]
    options = {"name": spec.name, "candidates": spec.candidates, "context": spec.context, "metadata": spec.metadata,
               "languages": spec.languages}  # fmt: skip
    return cached(source_key(sources, **options), lambda: spec.read(folder))


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _folder(card: DatasetCard, data_dir: str | Path | None) -> Path:
    folder = find(card, data_dir) or hub.fetch(card)
    if folder is None:
        looked = ", ".join(str(place / card.files) for place in _places(card, data_dir)) or "no data folder is set"
        raise PanglotError(
            f"the data set {card.name} was not found (looked for: {looked}{hub.why_not(card)})",
            hint=f"get it from {card.source}, put it into DATA/{card.folder} and add --data-dir DATA",
        )
    return folder


def _unknown(text: str) -> PanglotError:
    if "/" in text or "." in Path(text).name:
        parent = Path(text).parent
        hint = "check the path" + ("" if parent.is_dir() else f": there is no folder {parent}")
        return PanglotError(f"no such file or folder: {text}", hint=hint)
    near = difflib.get_close_matches(text.partition(":")[0].lower(), CARDS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `panglot data list`, or give a path that exists"
    return PanglotError(f"there is no data set, file or folder {text!r}", hint=hint)


def read_starter(folder: Path, spec: DatasetSpec) -> Collection:
    """Read one part of the starter collection, or ``all``: a file per language, each fact in one part.

    Lines are ``{"group", "subject", "split", "question", "passage"}``.
    """
    return ingest.collect(spec.name, _starter_rows(folder, spec.part), spec.metadata)


def _starter_rows(folder: Path, part: str) -> Iterator[tuple[Path, Row]]:
    for path in files(folder, "*.jsonl"):
        for line, values in objects(path, "group", "split", "question", "passage"):
            if values["split"] not in STARTER_PARTS:
                problem = f"`split` must be one of {', '.join(STARTER_PARTS)}, got {values['split']!r}"
                raise PanglotError(problem, file=path, line=line, field="split", hint="correct it")
            if part in ("all", values["split"]):
                yield path, check_row({**values, "language": plain_name(path)}, path, line)
