"""``probe``: find weak pairs of an encoder in a parallel collection."""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import langcodes
import numpy as np

from panglot._environment import provenance
from panglot._errors import PanglotError
from panglot._files import write_text
from panglot.data.collection import Collection, Ints
from panglot.encoders.protocol import Encoder, behind, by_id
from panglot.evaluation.bootstrap import share_difference, share_interval
from panglot.evaluation.exact_scores import Bools
from panglot.evaluation.figures import Result
from panglot.evaluation.inputs import encode, open_encoder, open_sets
from panglot.probe.beam import Start, search_changes
from panglot.probe.changes import Lexicons, read_lexicons
from panglot.probe.pools import Outcome, ParallelQuestions, Pools, choose_languages


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
    outcomes = [Outcome.of(each, questions, passages, k) for each in comparable]
    slices, why = by_slice(outcomes, asked, model)
    missing.extend(why)
    if lexicons is None:
        lexicons = read_lexicons(data_dir, chosen) if depth else {}
    searched = None
    if depth and by_id(model):
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


#: Bounds of the buckets, the upper one within a bucket of lengths and the lower one within one of fertilities.
LENGTHS = (40, 60, 80)
FERTILITIES = (1.25, 1.5, 1.75, 2.0)
_LENGTHS = [f"{LENGTHS[0]} or fewer", *(f"{low + 1} to {high}" for low, high in pairwise(LENGTHS)),
            f"above {LENGTHS[-1]}"]  # fmt: skip
_FERTILITIES = [f"below {FERTILITIES[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(FERTILITIES)),
                f"{FERTILITIES[-1]:g} or more"]  # fmt: skip

_WHO = {"who": "who", "whom": "who", "whose": "who"}
_QUESTION_WORDS = _WHO | {word: word for word in ("what", "when", "where", "which", "why", "how")}


@lru_cache(maxsize=1024)
def _script(language: str) -> str:
    """Return the English name of the likely script of a language.

    >>> _script("th"), _script("sr"), _script("sr-Latn"), _script("zh-Hant")
    ('Thai', 'Cyrillic', 'Latin', 'Han')
    """
    found = langcodes.Language.get(language).maximize().script or "Zyyy"
    found = "Hani" if found in {"Hans", "Hant"} else found
    try:
        return langcodes.Language.make(script=found).script_name()
    except (ImportError, LookupError):  # langcodes keeps its names in a package of their own
        return found


def _length(english: str) -> str:
    """Return the bucket of the English version's length in characters, which all translations share.

    >>> _length("Who?"), _length("x" * 41), _length("x" * 99)
    ('40 or fewer', '41 to 60', 'above 80')
    """
    return _LENGTHS[bisect_left(LENGTHS, len(english))]


def _question_word(english: str) -> str:
    """Return the first question word anywhere in the English version. ``how many`` counts as one.

    >>> _question_word("In which year?"), _question_word("Of how much use is it?"), _question_word("Name one.")
    ('which', 'how many', 'none')
    """
    words = re.findall(r"[a-z]+", english.lower())
    for place, word in enumerate(words):
        if found := _QUESTION_WORDS.get(word):
            amount = word == "how" and words[place + 1 : place + 2] in (["many"], ["much"])
            return "how many" if amount else found
    return "none"


def _fertility(tokens: int, english: str) -> str:
    """Return the bucket of a version's number of tokens per word of the English version.

    Words are counted in English because Thai, Chinese and Japanese do not separate theirs.

    >>> _fertility(5, "How many are there?"), _fertility(30, "How many are there?")
    ('1.25 to 1.5', '2 or more')
    """
    return _FERTILITIES[bisect_right(FERTILITIES, tokens / max(1, len(english.split())))]


def _count_tokens(encoder: Encoder, texts: Sequence[str]) -> list[int] | None:
    """Return the number of tokens of each text without prompt and special tokens, or None without a tokenizer."""
    tokenizer: Any = getattr(getattr(behind(encoder, "model"), "model", None), "tokenizer", None)
    if not callable(tokenizer) or not texts:  # endpoints and precomputed vectors have no tokenizer
        return None
    found: Any = tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False)
    return [len(ids) for ids in found["input_ids"]]


def by_slice(
    outcomes: Sequence[Outcome], collection: Collection, encoder: Encoder
) -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """Return the share of weak questions of each slice beside that of the rest, among questions that English answers.

    The figures are by kind of slice and slice (:func:`against_rest`), beside what could not be measured. The kind
    ``all`` has one slice.
    """
    texts = collection.questions["text"]
    english, other, languages, groups = list[str](), list[str](), list[str](), list[str]()
    weak: list[bool] = []
    for outcome in outcomes:
        found = outcome.parallel
        places = np.flatnonzero(outcome.answered)
        for side, rows in zip((english, other), found.questions, strict=True):
            side.extend(texts[int(row)].as_py() for row in rows[places])
        languages.extend(outcome.language for _ in places)
        groups.extend(found.groups[place] for place in places)
        weak.extend(outcome.weak[places].tolist())
    if not weak:
        return {}, [{"what": "weak shares", "why": "no question is answered in English"}]
    missing: list[dict[str, str]] = []
    tokens = _count_tokens(encoder, other)
    if tokens is None:
        missing.append({"what": "tokens per word", "why": "the model has no tokenizer"})
    labels = {
        "all": ["all" for _ in weak],
        "language": languages,
        "script": [_script(language) for language in languages],
        "length": [_length(text) for text in english],
        "question word": [_question_word(text) for text in english],
    }
    if tokens is not None:
        labels["tokens per word"] = [_fertility(n, text) for n, text in zip(tokens, english, strict=True)]
    group = np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
    hit = np.array(weak, np.bool_)
    # Slices are in these orders, and otherwise the largest comes first.
    orders = {"language": languages, "length": _LENGTHS, "tokens per word": _FERTILITIES}
    figures: dict[str, dict[str, Any]] = {}
    for kind, names in labels.items():
        column = np.array(names)
        slices = {str(name): against_rest(hit, group, column == name) for name in np.unique(column)}
        key = orders[kind].index if kind in orders else lambda name, part=slices: -part[name]["questions"]
        figures[kind] = {name: slices[name] for name in sorted(slices, key=key)}
    return figures, missing


def against_rest(hit: Bools, group: Ints, inside: Bools) -> dict[str, Any]:
    """Return the share of weak questions among those inside a slice and among the rest, and the difference.

    The difference and its interval are None if :func:`share_difference` has none, and without ``rest`` if all questions
    are inside.
    """
    rate, low, high = share_interval(hit[inside], group[inside])
    found = None if inside.all() else share_difference(hit, group, inside)
    return {
        "weak": int(hit[inside].sum()), "questions": int(inside.sum()), "rate": rate, "interval": [low, high],
        "rest": None if inside.all() else float(hit[~inside].mean()),
        "difference": found and found[0], "difference_interval": found and list(found[1:]),
    }  # fmt: skip
