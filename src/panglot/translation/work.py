"""Sentences through an engine: batches of similar length, what is known from the store, what fails in halves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from panglot._errors import PanglotError
from panglot.translation.engines import EngineError, checked
from panglot.translation.quality import answers_in
from panglot.translation.routes import Route, Step
from panglot.translation.sentences import cut, joined
from panglot.translation.store import Direction, Store

#: Letters of a batch, at most, where it has more than one sentence.
MOST_LETTERS = 40_000
#: So many sentences that fail in a row end the work.
PATIENCE = 5
#: So many batches in another language in a row end the work.
WRONG_BATCHES = 2


class WrongLanguageError(EngineError):
    """A batch came back in another language; smaller batches would not help."""


@dataclass
class Tally:
    """What was done for one route.

    Attributes:
        sentences: Different sentences, over all steps.
        reused: Those of them that the store had.
        translated: Those that an engine translated now.
        failed: Those that no attempt translated.
        seconds: Spent in engines.
    """

    sentences: int = 0
    reused: int = 0
    translated: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass
class _Patience:
    guard: bool
    failures: int = 0
    kept: int = 0


def translate_texts(
    texts: Sequence[str],
    route: Route,
    store: Store,
    tally: Tally,
    *,
    guard: bool = True,
    tell: Callable[[int], None] = lambda _: None,
) -> list[str | None]:
    """Return the translation of each text; None where a sentence of it could not be translated.

    Args:
        texts: In the route's source language.
        route: The steps.
        store: What is known, and where each batch is kept as soon as it is translated.
        tally: Counts are added to it.
        guard: Keep no batch whose answers, together, are surely in another language.
        tell: Called with the number of sentences of each batch that is done.

    Raises:
        PanglotError: The engine fails on all that it is given, or its user has to mend something.
    """
    pieces = [cut(text, route.source) for text in texts]
    current: dict[str, str | None] = {sentence: sentence for piece in pieces for sentence in piece.sentences}
    for step in route.steps:
        given = dict.fromkeys(text for text in current.values() if text is not None)
        found = _step(given, step, store, tally, guard, tell)
        current = {first: found.get(text) if text is not None else None for first, text in current.items()}
    done: list[str | None] = []
    for piece in pieces:
        parts = [current[sentence] for sentence in piece.sentences]
        whole = [part for part in parts if part is not None]
        done.append(joined(piece, whole, route.target) if len(whole) == len(parts) else None)
    return done


def batches(sentences: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the sentences by length, at most ``size`` and :data:`MOST_LETTERS` letters at once.

    >>> list(batches(["ccc", "a", "bb"], 2))
    [['a', 'bb'], ['ccc']]
    """
    batch: list[str] = []
    letters = 0
    for sentence in sorted(sentences, key=lambda text: (len(text), text)):
        if batch and (len(batch) == size or letters + len(sentence) > MOST_LETTERS):
            yield batch
            batch, letters = [], 0
        batch.append(sentence)
        letters += len(sentence)
    if batch:
        yield batch


def _step(
    sentences: Iterable[str], step: Step, store: Store, tally: Tally, guard: bool, tell: Callable[[int], None]
) -> dict[str, str]:
    wanted, direction = list(sentences), step.direction
    found = store.get(direction, wanted)
    tally.sentences += len(wanted)
    tally.reused += len(found)
    patience = _Patience(guard)
    tell(len(found))
    for batch in batches((text for text in wanted if text not in found), step.engine.batch_size):
        begun = time.perf_counter()
        new = _batch(batch, step, direction, store, patience, attempts=2)
        tally.seconds += time.perf_counter() - begun
        tally.translated += len(new)
        tally.failed += len(batch) - len(new)
        found.update(new)
        tell(len(batch))
    return found


def _batch(
    batch: list[str], step: Step, direction: Direction, store: Store, patience: _Patience, attempts: int
) -> dict[str, str]:
    """Translate and keep a batch; of one that fails again, each half by itself, down to single sentences."""
    reason = EngineError("")
    for _ in range(attempts):
        try:
            found = checked(step.engine.translate(batch, step.source, step.target), len(batch), step.engine.name)
            strange = answers_in(found, batch, step.source, step.target) if patience.guard else None
            if strange:
                raise WrongLanguageError(f"{step.engine.name} answers in {strange} where {step.target} was asked for")
        except EngineError as error:
            reason = error
            continue
        new = dict(zip(batch, found, strict=True))
        store.put(direction, new)
        patience.failures, patience.kept = 0, patience.kept + len(new)
        return new
    if len(batch) > 1 and not isinstance(reason, WrongLanguageError):
        middle = len(batch) // 2
        new = {}
        for half in (batch[:middle], batch[middle:]):
            new |= _batch(half, step, direction, store, patience, attempts=2 if len(half) == 1 else 1)
        return new
    patience.failures += 1
    most = WRONG_BATCHES if isinstance(reason, WrongLanguageError) else PATIENCE
    if patience.failures >= most:
        raise PanglotError(
            f"{step.source} → {step.target}: {reason.problem}, {most} times in a row;"
            f" {patience.kept:,} sentences of this run are kept in {store.path}",
            field="engine",
            hint="mend the engine or choose another; the same command goes on where this one stopped",
        ) from reason
    return {}
