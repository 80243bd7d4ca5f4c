"""Engines behind HTTP, against a real local server that fails as services do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from translation_parts import Served, collection, service

from panglot._errors import PanglotError
from panglot.translation.by_sentence import Store
from panglot.translation.engines import Chat, Engine, LibreTranslate
from panglot.translation.quality import NO_LIMITS
from panglot.translation.translate import Translated, translate


@pytest.fixture
def served() -> Iterator[Served]:
    with service() as told:
        yield told


@pytest.fixture(params=["libretranslate", "chat"])
def engine(request: pytest.FixtureRequest, served: Served) -> Engine:
    if request.param == "chat":
        return Chat(f"{served.url}/v1#some-model", pause=lambda _: None)
    return LibreTranslate(served.url, pause=lambda _: None)


def run(folder: Path, engine: Engine, rows: int = 4) -> Translated:
    with Store(folder / "store.sqlite") as store:
        return translate(collection(rows), ["es"], [engine], store, thresholds=NO_LIMITS)


def test_it_translates(engine: Engine, tmp_path: Path) -> None:
    done = run(tmp_path, engine)
    assert done.collection.select(["es"]).questions["text"][0].as_py() == "es What is the thing with number 0 called?"
    assert not done.dropped


@pytest.mark.parametrize("failure", ["429", "500", "503", "half", "blank", "dies", "html", "413"])
def test_passing_failures_change_nothing(engine: Engine, served: Served, tmp_path: Path, failure: str) -> None:
    (tmp_path / "well").mkdir()
    expected = run(tmp_path / "well", engine).collection.digest
    served.script = [failure, "", failure]
    assert run(tmp_path, engine).collection.digest == expected


def test_a_service_asks_for_patience(served: Served) -> None:
    waits: list[float] = []
    engine = LibreTranslate(served.url, pause=waits.append)
    served.script = ["429", "500"]
    assert engine.translate(["a"], "en", "es") == ["es a"]
    assert waits == [2.0, 1.0]


def test_a_service_that_stops_midway_is_resumed(served: Served, tmp_path: Path) -> None:
    engine = LibreTranslate(served.url, batch_size=2, retries=1, pause=lambda _: None)
    served.script = ["", "", "500", "500"]
    with pytest.raises(PanglotError, match=r"does not answer: status 500.*run the same command again to continue"):
        run(tmp_path, engine)
    before = [tuple(each["q"]) for each in served.requests[:2]]
    served.requests.clear()
    assert not run(tmp_path, engine).dropped
    assert not {text for each in served.requests for text in each["q"]} & {text for part in before for text in part}


def test_halves_of_batches_and_blanks_for_ever(engine: Engine, served: Served, tmp_path: Path) -> None:
    served.script = ["half"] * 99
    assert not run(tmp_path, engine).dropped  # with one sentence at a time, there is nothing to leave out
    (tmp_path / "blank").mkdir()
    served.script = ["blank"] * 99
    with pytest.raises(PanglotError, match=r"blank or no text for a sentence, 5 times in a row. 0 sentences"):
        run(tmp_path / "blank", engine, 6)


def test_a_service_in_the_wrong_language(engine: Engine, served: Served, tmp_path: Path) -> None:
    served.script = ["copy"] * 99
    with Store(tmp_path / "store") as store, pytest.raises(PanglotError, match="answers in en instead of es"):
        translate(collection(40, "The river runs through {} towns, and people there fish."), ["es"], [engine], store)
    assert len(served.requests) <= 4


def test_a_service_that_is_not_there(served: Served) -> None:
    del served
    with pytest.raises(PanglotError, match="does not answer"):
        LibreTranslate("http://127.0.0.1:9", pause=lambda _: None).serves("en", "es")
    with pytest.raises(PanglotError, match="not an address"):
        LibreTranslate("localhost:5000")
    with pytest.raises(PanglotError, match="lacks the name of a model"):
        Chat("http://localhost/v1")


def test_codes_of_a_service_are_read_in_any_style(served: Served) -> None:
    engine = LibreTranslate(served.url)
    assert engine.serves("en", "zh")
    engine.translate(["a"], "en", "zh")
    assert (served.requests[0]["source"], served.requests[0]["target"]) == ("en", "zh-Hans")
