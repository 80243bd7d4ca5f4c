"""Vectors with values that are not finite are rejected, and the message names the document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from search_made import LANGUAGES, Biased, documents

from panglot._errors import PanglotError
from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.metadata import is_index


class Broken(Biased):
    """Gives a value in place of the first number of texts of one side that hold a word."""

    def __init__(self, word: str, value: float, side: Side = "passage") -> None:
        super().__init__()
        self.word, self.value, self.side = word, value, side

    def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        found = super().encode(texts, side, ids=ids)
        if side == self.side:
            found[[self.word in text.split() for text in texts], 0] = self.value
        return found


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_build_refuses_them(value: float, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match=r"biased gave .* not finite for the document 'topic7-de'") as caught:
        Index.build(documents(), tmp_path / "index", model=Broken("topic7", value))
    assert caught.value.hint
    assert not is_index(tmp_path / "index")
    assert len(Index.build(documents(), tmp_path / "index", model=Biased())) == 120


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_adding_refuses_them_and_leaves_the_index_as_it_was(value: float, tmp_path: Path) -> None:
    Index.build(documents(), tmp_path / "index", model=Biased()).close()
    index = Index.open(tmp_path / "index", model=Broken("bad", value))
    with pytest.raises(PanglotError, match="not finite for the document 'second'"):
        index.add([Document("first", "good", "", "de"), Document("second", "bad", "", "de")])
    assert index.counts() == dict.fromkeys(LANGUAGES, 30)
    assert index.store.get(["first"]) == [None]


@pytest.mark.parametrize("side", ["question", "passage"])
def test_what_centering_is_fitted_on_must_be_numbers_too(side: Side, tmp_path: Path) -> None:
    class OfStarter(Broken):
        def encode(self, texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
            self.word = texts[-1].split()[0] if len(texts) == 80 else "none"
            return super().encode(texts, side, ids=ids)

    with pytest.raises(PanglotError, match=f"not finite for the {side} of the starter collection '"):
        Index.build(documents(), tmp_path / "index", model=OfStarter("", np.nan, side))


def test_a_model_that_gives_no_numbers_at_all_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="not finite for the question 'In which language"):
        Index.build(documents(), tmp_path / "index", model=Broken("language", np.nan, "question"))
