"""``probe``: find weak pairs of an encoder in a parallel collection."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from panglot._environment import provenance
from panglot._errors import PanglotError, first_line
from panglot._files import write_text
from panglot.data.collection import Collection
from panglot.data.language import canonical_or_none
from panglot.encoders.protocol import Encoder
from panglot.evaluation.evaluate import encode, open_encoder, open_sets
from panglot.evaluation.figures import Result
from panglot.probe.beam import Lexicons, Start, search_changes
from panglot.probe.pools import Outcome, ParallelPools, ParallelQuestions, Pools, choose_languages
from panglot.probe.rates import by_slice

# Words without a meaning of their own: switching them shows nothing about content.
_FUNCTION_WORDS = (
    "a about after all also an and any are as at be been before but by can could did do does for from had has have he "
    "her his how i if in into is it its many more most much no not of on one or other our out over she should so some "
    "such than that the their them then there these they this those to under up us was we were what when where which "
    "who whom whose why will with would you your"
)
_FUNCTION_WORD_SET = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class Probe(Result):
    """Result of a probe.

    Attributes:
        figures: The dictionary of figures, ready for JSON.
        pairs: The weak pairs as lines ``group, language, question, passage`` with further fields.
    """

    pairs: tuple[Mapping[str, Any], ...]

    def write_pairs(self, path: str | Path) -> None:
        """Write :attr:`pairs` as JSON lines, atomically. Without pairs, the file is empty.

        Raises:
            PanglotError: The file cannot be written.
        """
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.pairs))

    def __repr__(self) -> str:
        weak, name = len(self.figures["weak"]), self.figures["dataset"]["name"]
        return f"Probe({self.figures['model']['name']!r} on {name}: {weak} weak pairs, {len(self.pairs)} lines)"


def probe(
    encoder: Encoder | str | Path, collection: Collection | str | Path, *, languages: Sequence[str] | None = None,
    k: int = 10, start: Start = "both", limit: int = 20, beam: int = 3, depth: int = 2, budget: int = 2000,
    distractors: int = 2, pools: Pools | None = None, lexicons: Lexicons | None = None, seed: int = 0,
    data_dir: str | Path | None = None, candidates: str | None = None, context: bool = False,
    trust_remote_code: bool = False, command: str = "", progress: Callable[[str], None] | None = None,
) -> Probe:  # fmt: skip
    """Find weak pairs, and search for changes of questions that make more of them (2505.18673).

    A question is weak in a language if its English version finds a relevant passage among the first ``k`` of the
    English pool, and its version in that language finds none among the first ``k`` of that language's pool.

    Args:
        encoder: An encoder, or what :func:`panglot.load` accepts.
        collection: A collection, or what :func:`panglot.read` accepts.
        languages: Languages to probe, by default all but English.
        k: A question succeeds if a relevant passage is among the first ``k``.
        start: Questions from which to search: those nearest to failing (``near``), ``weak`` ones, ``both`` in turn, or
            ``random`` ones among those that succeed in English.
        limit: Largest number of such questions per language.
        beam: Number of changed versions per question to keep from level to level.
        depth: Largest number of changes in a row. With 0, there is no search.
        budget: Largest number of texts that the search encodes. The number of questions is cut to fit.
        distractors: Number of sentences from other passages that each question is tried with.
        pools: ``whole`` pools, or only the passage groups that both languages have (``common``). The default is whole
            pools if their sizes are similar.
        lexicons: English words with their translations, by language. The default is the folder ``lexicons`` in the
            data folder.
        seed: Seed of distractors and random questions.
        data_dir: Folder of the named data sets.
        candidates: ``sentence`` or ``paragraph``, for data sets that offer both.
        context: Whether a sentence comes with its paragraph.
        trust_remote_code: Whether Python code that comes with a model may run.
        command: Command to record in the figures.
        progress: Called with one line of text before each long step.

    Raises:
        PanglotError: The encoder or the collection cannot be read, the collection has no English or not one of the
            languages, no question is asked and answered in two languages, or ``k`` is too large.
    """
    begin = time.perf_counter()
    progress = progress or (lambda _: None)
    for name, value, least in (("k", k, 1), ("limit", limit, 0), ("beam", beam, 1), ("depth", depth, 0),
                               ("budget", budget, 0), ("distractors", distractors, 0)):  # fmt: skip
        if value < least:
            raise PanglotError(f"must be at least {least}, got {value}", field=name)
    if start not in get_args(Start):
        raise PanglotError(f"must be one of {', '.join(get_args(Start))}, got {start!r}", field="start")
    whole = next(iter(open_sets(collection, data_dir=data_dir, candidates=candidates, context=context).values()))
    english, chosen = choose_languages(whole, languages)
    asked = whole.select([english, *chosen])
    # Checked before the model is loaded, because that takes long.
    missing: list[dict[str, str]] = []
    found = [ParallelQuestions.of(asked, english, code, pools) for code in chosen]
    for code, each in zip(chosen, found, strict=True):
        if each is None:
            missing.append({"what": code, "why": f"no question is asked and answered both in {english} and in {code}"})
        else:
            each.check_depth(k)
    comparable = [each for each in found if each is not None]
    if not comparable:
        codes = f"{english} and in {' or '.join(chosen)}"
        raise PanglotError(f"{whole.name} is not parallel: no question is asked and answered both in {codes}",
                           hint="probe a parallel collection, such as xquad-r or starter:test")  # fmt: skip
    model = open_encoder(encoder, trust_remote_code=trust_remote_code)
    sizes = f"{asked.questions.num_rows:,} questions, {asked.passages.num_rows:,} passages"
    progress(f"{model.name} on {whole.name}: {sizes}")
    questions, passages = encode(model, asked)
    outcomes = [Outcome.of(ParallelPools.of(each, passages, k), questions) for each in comparable]
    slices, why = by_slice(outcomes, asked, model)
    missing.extend(why)
    if lexicons is None:
        lexicons = read_lexicons(data_dir, chosen) if depth else {}
    searched = None
    if depth and getattr(model, "by_id", False):
        missing.append({"what": "changes", "why": "precomputed vectors do not cover changed questions"})
    elif depth:
        searched = search_changes(outcomes, asked, model, lexicons, start=start, limit=limit, beam=beam, depth=depth,
                                  budget=budget, distractors=distractors, seed=seed, progress=progress)  # fmt: skip
    weak = [record for outcome in outcomes for record in outcome.records(asked)]
    test_only = whole.metadata.get("test_only") == "yes"
    # The field goes with every pair, so that training can refuse them.
    facts = {"source": whole.name} | ({"test_only": "yes"} if test_only else {})
    made = [pair for pair in (searched or {}).get("found", []) if pair["weak"] and pair["changes"]]
    figures = {
        **provenance(command),
        "seconds": round(time.perf_counter() - begin, 3),
        "model": {"name": model.name, "fingerprint": model.fingerprint, "dimension": passages.shape[1]},
        "settings": {
            "k": k, "languages": chosen, "start": start, "limit": limit, "beam": beam, "depth": depth,
            "budget": budget, "distractors": distractors, "pools": pools, "seed": seed,
        },
        "dataset": {
            "name": whole.name, "digest": asked.digest, "english": english,
            "candidates": asked.metadata.get("candidates"), "context": asked.metadata.get("context"),
            "test_only": test_only,
        },
        "languages": {outcome.language: outcome.counts() for outcome in outcomes},
        "by": slices, "search": searched, "weak": weak, "not_measured": missing,
    }  # fmt: skip
    return Probe(figures, tuple(_pair_lines(weak, made, english, facts)))


def read_lexicons(data_dir: str | Path | None, languages: Sequence[str]) -> Lexicons:
    """Return the entries for some languages of the Parquet files ``lexicons/*.parquet``, with columns lang, en, target.

    Entries are single English words with a meaning of their own, and translations of one word and at least two
    letters. The folder is under ``data_dir``, or else ``$PANGLOT_DATA``. Without it, there are no entries.
    """
    import pyarrow.parquet as pq

    root = data_dir or os.environ.get("PANGLOT_DATA")
    found: Lexicons = {}
    for path in sorted(Path(root).expanduser().glob("lexicons/*.parquet")) if root else []:
        try:
            codes: list[str] = pq.read_table(path, columns=["lang"])["lang"].unique().to_pylist()
            # A lexicon may have languages without a code.
            names = {code: name for code in codes if (name := canonical_or_none(code)) and name in languages}
            if not names:
                continue
            rows = pq.read_table(path, columns=["lang", "en", "target"], filters=[("lang", "in", list(names))])
        except (pa.ArrowException, KeyError, OSError) as error:
            raise PanglotError(f"not a lexicon: {first_line(error)}", file=path,
                               hint="write the columns lang, en, target") from error  # fmt: skip
        for row in rows.to_pylist():
            words = found.setdefault(names[row["lang"]], {})
            english, target = str(row["en"] or "").strip().lower(), str(row["target"] or "").strip()
            if _usable(english, target) and target not in words.get(english, ()):
                words[english] = (*words.get(english, ()), target)
    return found


def _usable(english: str, target: str) -> bool:
    one_word = not any(mark.isspace() or mark.isdigit() or mark in ".…()/,;-" for mark in target)
    # The vowel signs of Hindi and Thai are marks, not letters, so the target need not be alphabetic.
    return english not in _FUNCTION_WORD_SET and len(english) > 2 and english.isalpha() and len(target) > 1 and one_word


def _pair_lines(
    weak: Iterable[Mapping[str, Any]], changed: Iterable[Mapping[str, Any]], english: str, facts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the JSON lines of weak pairs, one bilingual group after the other.

    Weak pairs of the collection with the same group and English version share a group of lines, with one line in
    English. Each pair that the search ``changed`` is a group of its own, named after its changes, which its lines have
    in the field ``changes``. ``facts`` are further fields of every line, which readers of training sets ignore.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for pair in weak:
        key = str(pair["group"])
        head = _line(key, english, pair, "_in_english")
        # A group can have several English versions; each gets a group of lines of its own.
        if groups.setdefault(key, [head])[0] != head:
            key = f"{key}~{pair['language']}"
            groups[key] = [_line(key, english, pair, "_in_english")]
        groups[key].append(_line(key, pair["language"], pair, ""))
    for pair in changed:
        key = f"{pair['group']}~{pair['language']}~{'+'.join(pair['changes'])}"
        extra = {"changes": list(pair["changes"])}
        both = _line(key, english, pair, "_in_english"), _line(key, pair["language"], pair, "")
        groups[key] = [line | extra for line in both]
    return [line | dict(facts) for group in groups.values() for line in group]


def _line(group: str, language: str, pair: Mapping[str, Any], side: str) -> dict[str, Any]:
    texts = {field: pair[f"{field}{side}"] for field in ("question", "passage", "rank")}
    return {"group": group, "language": language, **texts}
