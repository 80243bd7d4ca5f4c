"""Translate texts sentence by sentence: cut them, send batches to an engine, store each batch, join the results."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
import unicodedata
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from panglot._errors import PanglotError
from panglot._files import cache_folder, digest, explain_write
from panglot.data.language import joins_sentences
from panglot.data.sentences import spans
from panglot.translation.engines import Direction, EngineError, Route, Step, check_answer
from panglot.translation.quality import language_of_answers

#: Maximum length of a sentence in characters. Engines cut off the rest of longer ones, or take minutes for it.
_MAX_SENTENCE = 600
#: Maximum length of a batch in characters, if it has more than one sentence.
_MAX_BATCH = 40_000
#: Number of sentences in a row that may fail before the run stops.
MAX_FAILURES = 5
#: Number of batches in a row that may come back in another language before the run stops.
_MAX_WRONG_BATCHES = 2
# Far below the number of variables that any build of SQLite takes.
_CHUNK = 500
_BREAKS = re.compile(r"[\s,;:،؛，、；：।]")


class Pieces(NamedTuple):
    """A text cut into sentences, each with a letter or a digit, and with single blanks.

    ``between`` has the text before the first sentence, between two, and after the last: one more than the sentences.
    """

    sentences: tuple[str, ...]
    between: tuple[str, ...]


def cut(text: str, language: str) -> Pieces:
    r"""Cut a text into sentences as its script requires. A line break always ends one.

    Sentences longer than :data:`_MAX_SENTENCE` are cut at the last blank or comma before, or right there.

    >>> cut("Who?  Me.\n", "en")
    Pieces(sentences=('Who?', 'Me.'), between=('', '  ', '\n'))
    """
    sentences: list[str] = []
    between: list[str] = []
    end = 0
    for start, stop in _sentence_spans(text, language):
        # Control characters and halves of surrogate pairs would end the stream of a subprocess.
        letters = (c for c in text[start:stop] if c.isspace() or unicodedata.category(c) not in ("Cc", "Cs"))
        sentence = " ".join("".join(letters).split())
        # Engines invent words for punctuation alone, so it is not sent.
        if any(map(str.isalnum, sentence)):
            sentences.append(sentence)
            between.append(text[end:start])
            end = stop
    between.append(text[end:])
    return Pieces(tuple(sentences), tuple(between))


def join(pieces: Pieces, translations: Sequence[str], target: str) -> str:
    """Replace the sentences of a text with their translations.

    Line breaks stay. Blanks between sentences are removed or added as the script of the target requires.

    >>> join(cut("Wer? Ich.", "de"), ["Who?", "Me."], "en"), join(cut("Wer? Ich.", "de"), ["谁?", "我。"], "zh")
    ('Who? Me.', '谁?我。')
    """
    unspaced = joins_sentences(target)
    parts = [pieces.between[0]]
    for number, (translation, gap) in enumerate(zip(translations, pieces.between[1:], strict=True), 1):
        is_kept = gap.strip(" ") or number == len(translations)
        parts += [translation, gap if is_kept else "" if unspaced else gap or " "]
    return "".join(parts)


def _sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = 0
    for line in text.splitlines(keepends=True):
        found += [(start + a, start + b) for begin, end in spans(line, language) for a, b in _shorten(line, begin, end)]
        start += len(line)
    return found


def _shorten(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _MAX_SENTENCE:
        places = [found.end() for found in _BREAKS.finditer(text, start + _MAX_SENTENCE // 2, start + _MAX_SENTENCE)]
        stop = places[-1] if places else start + _MAX_SENTENCE
        piece = text[start:stop]
        yield start, start + len(piece.rstrip())
        start = stop + len(text[stop:end]) - len(text[stop:end].lstrip())
    yield start, end


class WrongLanguageError(EngineError):
    """A batch came back in another language. Smaller batches would not help."""


@dataclass
class SentenceCounts:
    """Counts of the distinct sentences of one route, over all steps.

    ``reused`` were in the store, and ``translated`` were not. ``seconds`` is the time spent in engines.
    """

    sentences: int = 0
    reused: int = 0
    translated: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass
class _Run:
    """One step of a route, and how well it goes."""

    step: Step
    direction: Direction
    store: Store
    check_language: bool
    failures: int = 0
    kept: int = 0


def translate_texts(
    texts: Sequence[str], route: Route, store: Store, counts: SentenceCounts, *, check_language: bool = True
) -> list[str | None]:
    """Return the translation of each text, None if a sentence of it could not be translated.

    Each batch is put into the store as soon as it is translated. ``check_language`` rejects batches whose answers,
    taken together, are surely in another language.
    """
    pieces = [cut(text, route.source) for text in texts]
    current: dict[str, str | None] = {sentence: sentence for piece in pieces for sentence in piece.sentences}
    for step in route.steps:
        sentences = dict.fromkeys(text for text in current.values() if text is not None)
        found = _translate_step(_Run(step, step.direction, store, check_language), list(sentences), counts)
        current = {first: found.get(text) if text is not None else None for first, text in current.items()}
    done: list[str | None] = []
    for piece in pieces:
        parts = [part for sentence in piece.sentences if (part := current[sentence]) is not None]
        done.append(join(piece, parts, route.target) if len(parts) == len(piece.sentences) else None)
    return done


def _batches(sentences: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the sentences by length, at most ``size`` and :data:`_MAX_BATCH` characters at once.

    >>> list(_batches(["ccc", "a", "bb"], 2))
    [['a', 'bb'], ['ccc']]
    """
    batch: list[str] = []
    length = 0
    for sentence in sorted(sentences, key=lambda text: (len(text), text)):
        if batch and (len(batch) == size or length + len(sentence) > _MAX_BATCH):
            yield batch
            batch, length = [], 0
        batch.append(sentence)
        length += len(sentence)
    if batch:
        yield batch


def _translate_step(run: _Run, sentences: list[str], counts: SentenceCounts) -> dict[str, str]:
    found = run.store.get(run.direction, sentences)
    counts.sentences += len(sentences)
    counts.reused += len(found)
    for batch in _batches((text for text in sentences if text not in found), run.step.engine.batch_size):
        start = time.perf_counter()
        new = _translate_batch(run, batch, attempts=2)
        counts.seconds += time.perf_counter() - start
        counts.translated += len(new)
        counts.failed += len(batch) - len(new)
        found.update(new)
    return found


def _translate_batch(run: _Run, batch: list[str], attempts: int) -> dict[str, str]:
    """Translate and keep a batch. If it fails again, translate each half, down to single sentences."""
    step = run.step
    reason = EngineError("")
    for _ in range(attempts):
        try:
            found = check_answer(step.engine.translate(batch, step.source, step.target), len(batch), step.engine.name)
            other = language_of_answers(found, batch, step.source, step.target) if run.check_language else None
            if other:
                raise WrongLanguageError(f"{step.engine.name} answers in {other} instead of {step.target}")
        except EngineError as error:
            reason = error
            continue
        new = dict(zip(batch, found, strict=True))
        run.store.put(run.direction, new)
        run.failures, run.kept = 0, run.kept + len(new)
        return new
    wrong = isinstance(reason, WrongLanguageError)
    if len(batch) > 1 and not wrong:
        middle = len(batch) // 2
        new = {}
        for half in (batch[:middle], batch[middle:]):
            new |= _translate_batch(run, half, attempts=2 if len(half) == 1 else 1)
        return new
    run.failures += 1
    limit = _MAX_WRONG_BATCHES if wrong else MAX_FAILURES
    if run.failures >= limit:
        hint = "fix the engine or choose another, then run the same command again to continue"
        problem = f"{step.source} → {step.target}: {reason.problem}, {limit} times in a row."
        problem += f" {run.kept:,} sentences of this run are kept in {run.store.path}"
        raise PanglotError(problem, field="engine", hint=hint) from reason
    return {}


class Store:
    """Translations by engine, version, direction and text, in a SQLite file with a write-ahead log.

    When :meth:`put` returns, its translations are on disk. A process that is killed loses at most the batch that it was
    waiting for. Several processes may use one file, by default ``translations.sqlite`` in the cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "translations.sqlite"
        with explain_write(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            # A write takes the lock at its beginning, so that it waits for other processes instead of failing.
            self._base = sqlite3.connect(self.path, timeout=60.0, isolation_level="IMMEDIATE")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, engine TEXT, version TEXT,"
                " source TEXT, target TEXT, text TEXT, translation TEXT) WITHOUT ROWID"
            )

    def get(self, direction: Direction, texts: Iterable[str]) -> dict[str, str]:
        """Return the known translations, by text."""
        texts_by_key = {_key(direction, text): text for text in texts}
        found: dict[str, str] = {}
        keys = list(texts_by_key)
        with self._explained():
            for begin in range(0, len(keys), _CHUNK):
                part = keys[begin : begin + _CHUNK]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, translation FROM translations WHERE key IN ({marks})"  # noqa: S608
                found.update((texts_by_key[key], text) for key, text in self._base.execute(query, part))
        return found

    def put(self, direction: Direction, translations: Mapping[str, str]) -> None:
        """Keep translations, by text. The first translation of a text is never replaced."""
        rows = [(_key(direction, text), *direction, text, found) for text, found in translations.items()]
        # The connection's block commits at its end, or rolls back after an error.
        with self._explained(), self._base:
            self._base.executemany("INSERT OR IGNORE INTO translations VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = "free some space, name another file with --cache, or remove it to translate everything again"
            raise PanglotError(f"the store of translations failed: {error}", file=self.path, hint=hint) from error


def _key(direction: Direction, text: str) -> bytes:
    return bytes.fromhex(digest(*direction, text))[:20]
