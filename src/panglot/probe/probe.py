"""``probe``: an encoder and a parallel collection in, weak pairs and the dictionary of figures out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from panglot import __version__
from panglot._environment import machine, versions
from panglot._errors import PanglotError
from panglot._files import write_json
from panglot.evaluation.evaluate import encode, open_encoder, open_sets
from panglot.probe import pairs
from panglot.probe.hunt import Start, hunt
from panglot.probe.lexicon import read_lexicons
from panglot.probe.pairs import Outcome
from panglot.probe.pools import ParallelPools, Pools, check_depth, choose_languages, parallel
from panglot.probe.rates import by_slice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from panglot.data.collection import Collection
    from panglot.encoders.protocol import Encoder
    from panglot.probe.lexicon import Lexicons


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        figures: The dictionary of figures, ready for JSON.
        pairs: The weak pairs as lines ``group, language, question, passage`` with what else is known of them.
    """

    figures: Mapping[str, Any]
    pairs: tuple[Mapping[str, Any], ...]

    def to_json(self, path: str | Path) -> None:
        """Write :attr:`figures`, atomically.

        Raises:
            PanglotError: The place cannot be written.
        """
        write_json(path, self.figures)

    def write_pairs(self, path: str | Path) -> None:
        """Write :attr:`pairs` as JSON lines, atomically; an empty file where there are none.

        Raises:
            PanglotError: The place cannot be written.
        """
        pairs.write(path, self.pairs)

    def __repr__(self) -> str:
        weak, name = len(self.figures["weak"]), self.figures["dataset"]["name"]
        return f"Probe({self.figures['model']['name']!r} on {name}: {weak} weak pairs, {len(self.pairs)} lines)"


def probe(
    encoder: Encoder | str | Path,
    collection: Collection | str | Path,
    *,
    languages: Sequence[str] | None = None,
    k: int = 10,
    start: Start = "both",
    limit: int = 20,
    beam: int = 3,
    depth: int = 2,
    budget: int = 2000,
    distractors: int = 2,
    pools: Pools | None = None,
    lexicons: Lexicons | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    candidates: str | None = None,
    context: bool = False,
    trust_remote_code: bool = False,
    command: str = "",
    tell: Callable[[str], None] | None = None,
) -> Probe:
    """Find weak pairs, and by beam search changes of questions that make more of them (2505.18673).

    A question is weak in a language where its English version finds a relevant passage within the first ``k``
    of the English pool and its version in that language finds none within the first ``k`` of that language's.

    Args:
        encoder: An encoder, or what :func:`panglot.load` takes.
        collection: A collection, or what :func:`panglot.read` takes.
        languages: Those to probe; by default all but English.
        k: The depth that counts as success.
        start: Questions from which to search: nearest to failing (``near``), ``weak`` already, ``both`` in
            turn, or ``random`` among those that succeed in English.
        limit: How many of them a language, at most.
        beam: Changed questions that go on from level to level, for each question.
        depth: Changes one after the other; 0: no search.
        budget: Texts that the search may encode: the number of questions is cut until it suffices.
        distractors: Sentences of other passages that each question is tried with.
        pools: Whole pools, or those of common passage groups; by default whole where they are of like size.
        lexicons: By language, English words with their translations; by default what lies in ``lexicons`` in
            the data folder.
        seed: Draws distractors and random questions.
        data_dir: Where known data sets lie.
        candidates: ``sentence`` or ``paragraph`` for data sets that offer both.
        context: Whether a sentence comes with its paragraph.
        trust_remote_code: Whether Python code that comes with a model may run.
        command: What to write down as the command.
        tell: Called with a line for people before each long step.

    Raises:
        PanglotError: The encoder or the collection cannot be read, there is no English, no question that both
            languages ask and answer, a language is not there, or ``k`` is too large.
    """
    begin = time.perf_counter()
    tell = tell or (lambda _: None)
    _check(k, limit, beam, depth, budget, distractors, start)
    whole = next(iter(open_sets(collection, data_dir=data_dir, candidates=candidates, context=context).values()))
    english, chosen = choose_languages(whole, languages)
    asked = whole.select([english, *chosen])
    missing: list[dict[str, str]] = []
    found = [parallel(asked, english, code, pools) for code in chosen]
    for code, each in zip(chosen, found, strict=True):
        if each is None:
            missing.append({"what": code, "why": f"no question is asked and answered both in {english} and in {code}"})
        else:
            check_depth(each, k)
    grounds = [each for each in found if each is not None]
    if not grounds:
        raise PanglotError(
            f"{whole.name} is not parallel: no question is asked and answered both in {english} and in "
            f"{' or '.join(chosen)}",
            hint="probe a collection whose groups hold versions in both, such as xquad-r or starter:test",
        )
    model = open_encoder(encoder, trust_remote_code=trust_remote_code)
    tell(f"{model.name} on {whole.name}: {asked.questions.num_rows:,} questions, {asked.passages.num_rows:,} passages")
    questions, passages = encode(model, asked)
    outcomes = [Outcome.of(ParallelPools.of(each, passages, k), questions) for each in grounds]
    slices, why = by_slice(outcomes, asked, model)
    missing.extend(why)
    if lexicons is None:
        lexicons = read_lexicons(data_dir, chosen) if depth else {}
    searched = None
    if depth and getattr(model, "by_id", False):
        missing.append({"what": "changes", "why": "vectors computed elsewhere know no new texts"})
    elif depth:
        searched = hunt(
            outcomes, asked, model, lexicons, start=start, limit=limit, beam=beam, depth=depth, budget=budget,
            distractors=distractors, seed=seed, tell=tell,
        )  # fmt: skip
    weak = [record for outcome in outcomes for record in outcome.records(asked)]
    facts = {"source": whole.name} | ({"test_only": "yes"} if whole.about.get("test_only") == "yes" else {})
    made = [pair for pair in (searched or {}).get("found", []) if pair["weak"] and pair["changes"]]
    return Probe(
        {
            "panglot": __version__,
            "date": datetime.now(UTC).date().isoformat(),
            "command": command,
            "seconds": round(time.perf_counter() - begin, 3),
            "model": {"name": model.name, "fingerprint": model.fingerprint, "dimension": passages.shape[1]},
            "settings": {
                "k": k, "languages": chosen, "start": start, "limit": limit, "beam": beam, "depth": depth,
                "budget": budget, "distractors": distractors, "pools": pools, "seed": seed,
            },
            "versions": versions(),
            "machine": machine(),
            "dataset": {
                "name": whole.name, "digest": asked.digest, "english": english,
                "candidates": asked.about.get("candidates"), "context": asked.about.get("context"),
                "test_only": whole.about.get("test_only") == "yes",
            },
            "languages": {outcome.language: outcome.counts() for outcome in outcomes},
            "by": slices,
            "search": searched,
            "weak": weak,
            "not_measured": missing,
        },
        tuple(pairs.lines(weak, made, english, facts)),
    )  # fmt: skip


def _check(k: int, limit: int, beam: int, depth: int, budget: int, distractors: int, start: str) -> None:
    for name, value, least in (
        ("k", k, 1), ("limit", limit, 0), ("beam", beam, 1), ("depth", depth, 0), ("budget", budget, 0),
        ("distractors", distractors, 0),
    ):  # fmt: skip
        if value < least:
            raise PanglotError(f"{value} is too few", field=name, hint=f"give {least} or more")
    if start not in get_args(Start):
        raise PanglotError(f"unknown start {start!r}", field="start", hint=f"use one of {', '.join(get_args(Start))}")
