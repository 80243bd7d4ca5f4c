"""Define what an encoder is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from panglot._errors import PanglotError

Side = Literal["question", "passage"]
_Piece = TypeVar("_Piece")
Vectors = npt.NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Turn texts into vectors whose dot product is their similarity.

    Attributes:
        name: The name in tables.
    """

    name: str

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the vectors would. It is the key of the cache of vectors."""
        ...

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        """Return one unit-length row per text, shape ``[texts, dimension]``, float32.

        Texts may have any length and order. Questions and passages have different prompts. Only encoders of precomputed
        vectors use ``ids``.
        """
        ...


def check_texts(texts: Sequence[str], side: str) -> None:
    """Refuse one text, whose characters would be taken for texts, and an unknown side.

    Raises:
        PanglotError: ``texts`` is one text, or ``side`` is neither ``question`` nor ``passage``.
    """
    if isinstance(texts, str):
        raise PanglotError("expected a list of texts, got one text", field="texts", hint="put it in brackets: [text]")
    if side not in ("question", "passage"):
        problem = f"a text is a question or a passage, got {side!r}"
        raise PanglotError(problem, field="side", hint="write `question` for queries and `passage` for documents")


class Tokens(NamedTuple):
    """The tokens of a text.

    Encoders that show them have a method ``tokens``, which returns them for a list of passages.
    """

    total: int  # With those of the prompt, and those that begin and end a text.
    starts: Sequence[int]  # Where each of the others begins, in characters.


def behind(encoder: Encoder, attribute: str) -> Any:
    """Return the encoder that has an attribute, looking behind caches and corrections, or None if there is none."""
    found: Any = encoder
    while found is not None and not hasattr(found, attribute):
        found = getattr(found, "encoder", None) or getattr(found, "base", None)
    return found


class CutTexts:
    """Count the texts of a side that the model behind an encoder cuts, to warn of them once.

    Nothing is known of endpoints and precomputed vectors.
    """

    def __init__(self, encoder: Encoder, side: Side) -> None:
        found = behind(encoder, "count_cut")
        self._model, self._name, self._side = found, encoder.name, side
        self._cut = self._texts = 0
        if found is not None:
            found.told.add(side)  # Its own `encode` need not warn.

    def add(self, texts: Sequence[str]) -> None:
        """Count more texts."""
        if self._model is not None:
            self._cut += self._model.count_cut(texts, self._side)
            self._texts += len(texts)

    def count(self, pieces: Iterable[_Piece], texts_of: Callable[[_Piece], Sequence[str]]) -> Iterator[_Piece]:
        """Yield pieces, such as documents, after counting their texts."""
        for piece in pieces:
            self.add(texts_of(piece))
            yield piece

    def warn(self) -> None:
        """Warn, as in ``1 of 2 passages cut at 512 tokens``, if any text is cut."""
        if self._model is not None and self._cut:
            note = f"{self._cut:,} of {self._texts:,} {self._side}s cut at {self._model.max_length:,} tokens"
            warnings.warn(f"{self._name}: {note}", RuntimeWarning, stacklevel=3)


@runtime_checkable
class Windowed(Encoder, Protocol):
    """Turn texts into vectors, and say how much of a long text the vector is of."""

    def window(self, texts: Sequence[str], side: Side) -> list[tuple[int, int]]:
        """Return begin and end of what the model sees of each text, in characters."""
        ...


@runtime_checkable
class LanguageAware(Encoder, Protocol):
    """Turn texts and their languages into vectors, by correcting the vectors of another encoder."""

    by_language: bool
    base: Encoder  # Its vectors are corrected. They do not depend on languages.

    def encode(
        self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> Vectors:  # fmt: skip
        """Return one unit-length row per text, as :meth:`Encoder.encode`. If there are no languages, detect them."""
        ...

    def over(self, base: Encoder) -> Encoder:
        """Return the same correction of another base, such as the same base with a cache."""
        ...


def by_id(encoder: Encoder) -> bool:
    """Return whether vectors belong to ids, as precomputed ones do. Equal texts may then have different vectors."""
    return bool(getattr(encoder, "by_id", False))
