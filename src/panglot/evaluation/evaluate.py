"""``evaluate``: measure an encoder on collections."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import provenance
from panglot._errors import PanglotError
from panglot._files import digest
from panglot.data.collection import Collection
from panglot.data.language import canonical
from panglot.data.transform import check_languages
from panglot.encoders.protocol import CutTexts, LanguageAware, by_id
from panglot.evaluation.bootstrap import PerQuestion
from panglot.evaluation.figures import SETTINGS, Figures, Measured, Result, measure, measure_ranks
from panglot.evaluation.measures import DEFAULT, Measure, parse
from panglot.evaluation.robustness import robustness
from panglot.evaluation.runs import open_reranker, read_system_run, rerank, write_runs
from panglot.evaluation.scoreboard import suites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder, Side, Vectors
    from panglot.evaluation.runs import Scorer

Sets = str | Path | Collection


@dataclass(frozen=True)
class Evaluation(Result):
    """One encoder measured on one or more collections.

    Attributes:
        figures: The dictionary of figures (``docs/architecture.md``), ready for JSON.
        measured: Ranks and values behind the figures, by the name of the data set.
        reranked: The same of the ranking that a cross-encoder reordered, if one was named.
    """

    measured: Mapping[str, Measured]
    reranked: Evaluation | None = None

    @property
    def per_question(self) -> dict[str, PerQuestion]:
        """Headline figures question by question, by the name of the data set."""
        return {name: found.per_question for name, found in self.measured.items()}

    def misses(self) -> Iterator[Figures]:
        """Yield the entries of :meth:`Measured.misses` of every data set, with its name as ``dataset``."""
        for name, found in self.measured.items():
            yield from ({"dataset": name, **each} for each in found.misses())

    def __repr__(self) -> str:
        heads = "; ".join(f"{name}: {_head(found.figures)}" for name, found in self.measured.items())
        return f"Evaluation({self.figures['model']['name']!r}; {heads})"


def evaluate(
    encoder: Encoder | str | Path,
    collections: Sets | Sequence[Sets],
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
    measures: Sequence[str | Measure] | None = None,
    draws: int = 1000,
    seed: int = 0,
    trust_remote_code: bool = False,
    trec_run: str | Path | None = None,
    trec_depth: int = 100,
    precision: Precision = "auto",
    robust: bool = False,
    reranker: Scorer | str | Path | None = None,
    rerank_depth: int = 50,
    command: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure an encoder in the three settings, with language bias and intervals.

    Each distinct text is encoded once, and every setting is measured from the same vectors.

    Args:
        encoder: An encoder, or what :func:`panglot.load` accepts: ``bundled``, a folder, a hub name, ….
        collections: One or more collections. Names and paths are passed to :func:`panglot.read`. The TOML file of a
            suite, or ``suite:NAME`` (:mod:`panglot.datasets.suite`), means all of its forms, and the figures then have
            its score.
        data_dir: Folder of the named data sets.
        candidates: ``sentence`` or ``paragraph``, for data sets that offer both.
        context: Whether a sentence comes with its paragraph.
        languages: Keep only questions and passages in these languages.
        measures: Names such as ``mAP``, ``R@10`` and ``nDCG@10``, by default
            :data:`panglot.evaluation.measures.DEFAULT`.
        draws: Bootstrap draws over question groups for the intervals, 0 for no intervals.
        seed: Seed of the draws.
        trust_remote_code: Whether Python code that comes with a model may run.
        trec_run: Where to write the rankings for other tools, as :func:`panglot.evaluation.runs.write_runs` does. For
            several collections, a folder.
        trec_depth: Number of passages of each ranking that is written, 0 for all.
        precision: Precision of the products of a model that is given by its name: ``fp32``, ``bf16``, ``int8``, which
            needs OpenVINO, or ``auto``: bf16 if it is faster, else fp32.
        robust: Whether to ask the questions again with typos, in other case, cut short and in mixed languages
            (:mod:`panglot.evaluation.robustness`).
        reranker: A cross-encoder, or its folder or hub name. What it makes of the first ``rerank_depth`` passages of
            each pool is measured too, as :attr:`Evaluation.reranked`. :func:`panglot.compare` tests the differences.
        rerank_depth: Passages of each ranking that the cross-encoder reorders.
        command: Command to record in the figures.
        progress: Called with one line of text before each long step.

    Raises:
        PanglotError: The encoder or a collection cannot be read, or they do not fit each other.
    """
    begin = time.perf_counter()
    chosen = _chosen(measures, draws)
    sets = open_sets(collections, data_dir=data_dir, candidates=candidates, context=context, languages=languages)
    model = open_encoder(encoder, trust_remote_code=trust_remote_code, precision=precision)
    scorer = open_reranker(reranker, rerank_depth)
    measured: dict[str, Measured] = {}
    reordered: dict[str, Measured] = {}
    dimension = 0
    for name, collection in sets.items():
        if progress is not None:
            size = f"{collection.questions.num_rows:,} questions, {collection.passages.num_rows:,} passages"
            progress(f"{model.name} on {name}: {size}")
            if note := _equal_ids(collection):
                progress(note)
        start = time.perf_counter()
        questions, passages = encode(model, collection)
        encoded = time.perf_counter()
        found = measure(questions, passages, collection, measures=chosen, draws=draws, seed=seed)
        if equal := collection.metadata.get("equal_ids"):
            found.figures["equal_ids"] = int(equal)
        if robust:
            found.figures["robustness"], absent = robustness(
                model, questions, passages, collection, found.per_question,
                measure=parse("mAP") if parse("mAP") in chosen else chosen[0], draws=draws, seed=seed,
                data_dir=data_dir,
            )  # fmt: skip
            found.figures["not_measured"] += absent
        if trec_run is not None:
            place = Path(trec_run) / f"{Path(name).name}.run" if len(sets) > 1 else Path(trec_run)
            write_runs(place, questions, passages, collection, trec_depth or None)
        seconds = {"encode": encoded - start, "measure": time.perf_counter() - encoded}
        found.figures["seconds"] = {what: round(value, 3) for what, value in seconds.items()}
        measured[name] = found
        dimension = passages.shape[1]
        if scorer is not None:
            start = time.perf_counter()
            ranks, pairs = rerank(found.ranks, questions, passages, collection, scorer, rerank_depth)
            reordered[name] = measure_ranks(ranks, collection, measures=chosen, draws=draws, seed=seed)
            reordered[name].figures["not_measured"].append(
                {"what": "geometry", "why": "a cross-encoder has no vectors"}
            )
            reordered[name].figures["reranked"] = {"depth": rerank_depth, "pairs": pairs}
            reordered[name].figures["seconds"] = {"rerank": round(time.perf_counter() - start, 3)}
    metadata = {"name": model.name, "fingerprint": model.fingerprint, "dimension": dimension}
    settings = {"candidates": candidates, "context": context, "languages": list(languages) if languages else None}
    settings |= {"precision": precision, "draws": draws, "seed": seed, "measures": [str(each) for each in chosen]}
    again = None
    if scorer is not None:
        settings |= {"reranker": scorer.name, "rerank_depth": rerank_depth}
        name = f"{model.name} + {scorer.name}"
        both = {"name": name, "fingerprint": digest(model.fingerprint, scorer.fingerprint), "dimension": None}
        again = _evaluation(reordered, both, dict(settings), command, begin)
    return replace(_evaluation(measured, metadata, settings, command, begin), reranked=again)


def evaluate_run(
    run: str | Path,
    collection: Sets,
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
    measures: Sequence[str | Measure] | None = None,
    draws: int = 1000,
    seed: int = 0,
    command: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure the run of any system, such as BM25, ColBERT or a re-ranker, as :func:`evaluate` measures an encoder.

    The run ranks passages of all languages together. The ranking in one language is the part of it in that language.
    The file is a TREC run, or JSON ``{question: {passage: score}}``. A relevant passage that is not listed counts as
    not found. Figures have what the run lacks as ``run``, and ``progress`` gets a note on it. The other arguments are
    those of :func:`evaluate`.

    Raises:
        PanglotError: The run cannot be read, lists a pair twice, or names texts that are not in the collection.
    """
    begin = time.perf_counter()
    chosen = _chosen(measures, draws)
    options: dict[str, Any] = {"data_dir": data_dir, "candidates": candidates, "context": context}
    ((name, whole),) = open_sets(collection, **options).items()
    system = read_system_run(run)
    (part,) = open_sets(whole, languages=languages).values()
    ranks, notes = system.ranks(part, whole)
    if progress is not None:
        progress(f"{system.name} on {name}: {len(system.scores):,} questions")
        for note in notes:
            progress(f"note: {note}")
    found = measure_ranks(ranks, part, measures=chosen, draws=draws, seed=seed)
    found.figures["not_measured"].append({"what": "geometry", "why": "a run has no vectors"})
    found.figures["run"] = {"file": system.path.name, "notes": notes}
    settings = {"candidates": candidates, "context": context, "languages": list(languages) if languages else None}
    settings |= {"draws": draws, "seed": seed, "measures": [str(each) for each in chosen]}
    metadata = {"name": system.name, "fingerprint": system.digest, "dimension": None}
    return _evaluation({name: found}, metadata, settings, command, begin)


def _chosen(measures: Sequence[str | Measure] | None, draws: int) -> tuple[Measure, ...]:
    chosen = tuple(dict.fromkeys(parse(name) for name in (DEFAULT if measures is None else measures)))
    if not chosen:
        raise PanglotError("expected at least one measure, got none", field="measures", hint="name one, such as mAP")
    if draws < 0:
        raise PanglotError(f"must be at least 0, got {draws}", field="draws")
    return chosen


def _evaluation(
    measured: dict[str, Measured], model: Figures, settings: Figures, command: str | None, begin: float
) -> Evaluation:
    # A kind of candidates is reported for the whole only if all data sets share it.
    kinds = {found.figures["candidates"] for found in measured.values()}
    settings["candidates"] = settings["candidates"] or (kinds.pop() if len(kinds) == 1 else None)
    figures: Figures = {
        **provenance(command),
        "seconds": round(time.perf_counter() - begin, 3),
        "model": model,
        "settings": settings,
        "datasets": {name: found.figures for name, found in measured.items()},
        **suites({model["name"]: measured}, settings),
    }
    return Evaluation(figures, measured)


def _equal_ids(collection: Collection) -> str:
    """Return a note if a data set that states its ids gives a question and a passage the same one."""
    number = collection.metadata.get("equal_ids")
    if not number:
        return ""
    theirs = "the beir package leaves it out of their hits"
    return f"note: {number} questions have the id of a passage. panglot ranks that passage like any other, and {theirs}"


def open_sets(
    collections: Sets | Sequence[Sets],
    *,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
) -> dict[str, Collection]:
    """Return collections by name, and read those that are given by name or path. A suite has several.

    A collection without questions or passages, or with the name of another, is refused.
    """
    from panglot.datasets.registry import read
    from panglot.datasets.suite import is_suite, read_suite

    given = [collections] if isinstance(collections, str | Path | Collection) else list(collections)
    languages = [canonical(code) for code in languages or ()]
    found: dict[str, Collection] = {}
    for item in given:
        if isinstance(item, Collection):
            parts = [item.select(languages) if languages else item]
        elif is_suite(item):
            forms = read_suite(item).read(data_dir).values()
            parts = [each.select(languages) if languages else each for each in forms]
        else:
            parts = [read(item, data_dir=data_dir, candidates=candidates, context=context, languages=languages or None)]
        for collection in parts:
            name = collection.name
            if name in found:
                raise PanglotError(f"two data sets have the name {name}", hint="measure them one after the other")
            for side, texts in (("questions", collection.questions), ("passages", collection.passages)):
                if not texts.num_rows:
                    raise PanglotError(f"{name} has no {side}", hint="check the file that it was read from")
            found[name] = collection
    if not found:
        hint = "choose one from `panglot data list`"
        raise PanglotError("expected at least one data set, got none", field="datasets", hint=hint)
    check_languages(found.values(), languages)
    return found


def open_encoder(
    encoder: Encoder | str | Path, *, trust_remote_code: bool = False, precision: Precision = "auto"
) -> Encoder:  # fmt: skip
    """Return an encoder. Names and paths are loaded, with the cache of vectors in between."""
    if not isinstance(encoder, str | Path):
        # A cache holds its encoder.
        own = getattr(getattr(encoder, "encoder", encoder), "precision", None)
        if precision not in ("auto", own):
            problem = f"{precision} was asked for, but {encoder.name} is loaded already" + (
                f" with {own}" if own else ""
            )
            raise PanglotError(problem, field="precision", hint="load it with that precision, or give its name")
        return encoder
    from panglot.encoders.cache import cached
    from panglot.encoders.load import load

    # Encoders without remote code or products do not know the options, so they are passed only if set.
    options: dict[str, Any] = {"trust_remote_code": True} if trust_remote_code else {}
    if precision != "auto":
        options |= {"precision": precision, "backend": "auto" if precision == "int8" else "torch"}
    return cached(load(encoder, **options))


def encode(encoder: Encoder, collection: Collection) -> tuple[Vectors, Vectors]:
    """Return the vectors of questions and passages, shape ``[texts, dimension]`` each.

    Equal texts of one side are encoded once. An encoder that uses languages gets those of the collection, and encodes a
    text once per language.
    """
    return _encode(encoder, collection, "question"), _encode(encoder, collection, "passage")


def _encode(encoder: Encoder, collection: Collection, side: Side) -> Vectors:
    table = collection.questions if side == "question" else collection.passages
    columns = [table[name].to_pylist() for name in ("text", "id", "language")]
    aware = isinstance(encoder, LanguageAware)
    keys = columns[1] if by_id(encoder) else list(zip(columns[0], columns[2], strict=True)) if aware else columns[0]
    first: dict[Any, int] = {}
    index = [first.setdefault(key, len(first)) for key in keys]
    rows = np.unique(index, return_index=True)[1].tolist()
    texts, ids, languages = ([column[row] for row in rows] for column in columns)
    options: dict[str, Any] = {"languages": languages} if aware else {}
    cuts = CutTexts(encoder, side)
    cuts.add(texts)
    cuts.warn()
    vectors = np.asarray(encoder.encode(texts, side, ids=ids, **options), np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        problem = f"{encoder.name} returned an array of shape {vectors.shape} for {len(texts)} {side}s"
        raise PanglotError(problem, hint="return one row per text")
    return vectors[index] if len(texts) < len(index) else vectors


def _head(figures: Figures) -> str:
    """Return the first figure of each setting that was measured."""
    first = {setting: next(iter((figures[setting] or {}).values()), None) for setting in SETTINGS}
    return ", ".join(
        f"{name.removesuffix('lingual')} {value:.3f}" for name, value in first.items() if value is not None
    )
