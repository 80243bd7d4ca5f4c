"""``evaluate``: measure an encoder on collections. ``compare``: measure several, and test their differences."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import provenance
from panglot._errors import PanglotError, located
from panglot._files import check_writable, digest
from panglot.data.collection import Collection
from panglot.evaluation.bootstrap import PerQuestion
from panglot.evaluation.compare import compare_questions, suites
from panglot.evaluation.figures import SETTINGS, Figures, Measured, Result, measure, measure_ranks
from panglot.evaluation.inputs import Sets, encode, open_encoder, open_sets
from panglot.evaluation.measures import DEFAULT, Measure, parse
from panglot.evaluation.robustness import robustness
from panglot.evaluation.runs import open_reranker, read_system_run, rerank, write_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder
    from panglot.evaluation.runs import Scorer


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
    runs = _run_places(trec_run, list(sets)) if trec_run is not None else {}
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
        if runs:
            write_runs(runs[name], questions, passages, collection, trec_depth or None)
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


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Several encoders measured on the same collections, with the evaluation of each by its name.

    ``figures["models"]`` has the names, and ``figures["evaluations"]`` the figures of each model. For each data set
    and ``setting.measure``, ``figures["datasets"]`` has the ``values`` of the models, the ``differences`` of all pairs
    with interval and p, and the ``best`` model or None.
    """

    evaluations: Mapping[str, Evaluation]

    def __repr__(self) -> str:
        return f"Comparison({', '.join(map(repr, self.evaluations.values()))})"


def compare(
    models: Sequence[Encoder | str | Path],
    *,
    test: Sets | Sequence[Sets],
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    languages: Sequence[str] | None = None,
    measures: Sequence[str | Measure] | None = None,
    draws: int = 1000,
    permutations: int = 10_000,
    seed: int = 0,
    trust_remote_code: bool = False,
    precision: Precision = "auto",
    reranker: Scorer | str | Path | None = None,
    rerank_depth: int = 50,
    command: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Measure several encoders on the same questions and test their differences.

    Each figure and pair of models gets the difference, its bootstrap interval over question groups, and the p-value
    of a paired randomisation test over groups, corrected after Holm for the number of pairs. A model is *best* at a
    figure if it is better than every other one with a corrected p < .05.

    ``models`` are two or more encoders and ``test`` is one or more collections, as for :func:`evaluate`, which explains
    the other arguments too. With a ``reranker``, each model is followed by what the cross-encoder makes of its ranking,
    and one model is enough. ``permutations`` is the number of random sign patterns of the test. ``seed`` seeds draws
    and patterns.

    Raises:
        PanglotError: There are fewer than two models, two have one name, or :func:`evaluate` fails.
    """
    if len(models) < (2 if reranker is None else 1):
        raise PanglotError(f"expected two or more models, got {len(models)}", field="models", hint="name another model")
    sets = open_sets(test, data_dir=data_dir, candidates=candidates, context=context, languages=languages)
    scorer = open_reranker(reranker, rerank_depth)
    evaluations: dict[str, Evaluation] = {}
    for given in models:
        encoder = open_encoder(given, trust_remote_code=trust_remote_code, precision=precision)
        name = encoder.name
        if name in evaluations:
            raise PanglotError(f"two models have the name {name}", field="models", hint="rename the folder of one")
        evaluations[name] = evaluate(
            encoder, list(sets.values()), candidates=candidates, context=context, languages=languages,
            measures=measures, draws=draws, seed=seed, command=command, progress=progress, precision=precision,
            reranker=scorer, rerank_depth=rerank_depth,
        )  # fmt: skip
        if (again := evaluations[name].reranked) is not None:
            evaluations[again.figures["model"]["name"]] = again
    first = next(iter(evaluations.values()))
    figures: Figures = {
        "panglot": first.figures["panglot"],
        "date": first.figures["date"],
        "command": command,
        "models": list(evaluations),
        "settings": {**first.figures["settings"], "permutations": permutations},
        "datasets": {
            dataset: compare_questions(
                {name: each.per_question[dataset] for name, each in evaluations.items()},
                draws=draws, permutations=permutations, seed=seed,
            )
            for dataset in sets
        },
        "evaluations": {name: each.figures for name, each in evaluations.items()},
        **suites({name: each.measured for name, each in evaluations.items()}, first.figures["settings"]),
    }  # fmt: skip
    return Comparison(figures, evaluations)


def _run_places(place: str | Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the file of each set's run: ``place``, or a file in it if there are several sets."""
    runs = {name: Path(place) / f"{Path(name).name}.run" if len(names) > 1 else Path(place) for name in names}
    for each in runs.values():
        if each.is_dir():
            problem, hint = "a run is a file, and this is a folder", f"name a file, such as {each / 'rankings.run'}"
            raise PanglotError(problem, file=each, field="trec_run", hint=hint)
        with located(field="trec_run"):
            check_writable(each)
    return runs


def _chosen(measures: Sequence[str | Measure] | None, draws: int) -> tuple[Measure, ...]:
    named = measures.split(",") if isinstance(measures, str) else DEFAULT if measures is None else measures
    chosen = tuple(dict.fromkeys(map(parse, named)))
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


def _head(figures: Figures) -> str:
    """Return the first figure of each setting that was measured."""
    first = {setting: next(iter((figures[setting] or {}).values()), None) for setting in SETTINGS}
    return ", ".join(
        f"{name.removesuffix('lingual')} {value:.3f}" for name, value in first.items() if value is not None
    )
