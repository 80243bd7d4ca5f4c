"""The index as a whole, over an exact store in memory."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from search_made import DIMENSION, LANGUAGES, Biased, MemoryStore, documents, use_memory

from panglot._errors import PanglotError
from panglot._files import lock
from panglot.cli.index import index_command
from panglot.debiasing.correction import Debiased, Debiasing
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.metadata import NAME, is_index
from panglot.search.ranking.modes import LanguageStats, center
from panglot.search.request import MODES, SearchRequest


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> dict[str, MemoryStore]:
    return use_memory(monkeypatch)


@pytest.fixture
def index(stores: dict[str, MemoryStore], tmp_path: Path) -> Index:
    del stores
    return Index.build(documents(), tmp_path / "index", model=Biased())


def ids(answer: Any) -> list[str]:
    return [hit.document.id for hit in answer.hits]


def test_an_index_answers_in_every_language(index: Index) -> None:
    assert len(index) == 120
    assert index.counts() == dict.fromkeys(LANGUAGES, 30)
    answer = index.search("<de> topic3", k=4, language="de", mode="centered")
    assert set(ids(answer)) == {f"topic3-{code}" for code in LANGUAGES}
    assert (answer.language, answer.detected, answer.mode) == ("de", False, "centered")
    assert (answer.language_source, answer.language_confidence) == ("declared", None)
    assert [hit.rank for hit in answer.hits] == [1, 2, 3, 4]
    assert answer.shares == dict.fromkeys(LANGUAGES, (0.25, 0.25))
    assert {"encode", "search", "rank"} == set(answer.seconds)
    assert answer.hits[0].document.metadata == {"n": 1}
    assert answer.hits[0].languages == {answer.hits[0].document.language: answer.hits[0].document.id}


def test_it_opens_again_and_gives_the_same(index: Index) -> None:
    again = Index.open(index.folder, model=Biased())
    for mode in MODES:
        request = SearchRequest("q", mode=mode, preferred_languages=("ja",), language="sw")
        vector = index.encode(["<sw> topic7"])[0]
        assert again.searcher.search(request, vector).hits == index.searcher.search(request, vector).hits
    assert is_index(index.folder)
    assert not (index.folder / "shards").exists()


def test_another_model_is_refused_and_a_close_copy_is_not(index: Index) -> None:
    class Copy(Biased):
        def __init__(self) -> None:
            super().__init__()
            self.fingerprint = "other precision"

    assert len(Index.open(index.folder, model=Copy())) == 120

    class Other(Copy):
        def encode(self, texts: Any, side: Any, **_: Any) -> Any:
            return super().encode([f"{text} otherwise trained" for text in texts], side)

    with pytest.raises(PanglotError, match="not a copy"):
        Index.open(index.folder, model=Other())
    with pytest.raises(PanglotError, match="no name to open it by"):
        Index.open(index.folder)


def test_a_debiased_model_brings_its_own_remedy(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    base = Biased()
    given = documents()
    fitted = LanguageStats.of(
        [([each.language for each in given[:60]], base.encode([each.full_text for each in given[:60]], "passage"))],
        DIMENSION,
    ).centering()
    index = Index.build(given, tmp_path / "index", model=Debiased(base, fitted))
    store = stores[str((tmp_path / "index" / "store").resolve())]
    plain = base.encode([each.full_text for each in given], "passage")
    names = [each.id for each in given]
    np.testing.assert_array_equal(store.vectors("plain", names), plain)
    wanted = fitted.apply(plain, [each.language for each in given], "passage")
    np.testing.assert_allclose(store.vectors("centered", names), wanted, atol=1e-6)
    assert index.encoder is base
    # Whatever the mode, the model is the debiased one.
    (query,) = Debiased(base, fitted).encode(["<de> topic3"], "question", languages=["de"])
    best = [names[row] for row in np.argsort(-(wanted @ query))[:9]]
    for mode in ("plain", "centered"):
        assert ids(index.search("<de> topic3", language="de", mode=mode, k=9)) == best
    # An index without this debiasing would drop it.
    with pytest.raises(PanglotError, match="built with another debiasing than that of biased"):
        Index.build(given, tmp_path / "index", model=base)
    Index.build(given, tmp_path / "plain", model=base)
    for open_it in (
        lambda: Index.open(tmp_path / "plain", model=Debiased(base, fitted)),
        lambda: Index.build(given, tmp_path / "plain", model=Debiased(base, fitted)),
    ):
        with pytest.raises(PanglotError, match=r"built with another debiasing than that of biased\+center"):
            open_it()
    assert best != [names[row] for row in np.argsort(-(plain @ base.encode(["<de> topic3"], "question")[0]))[:9]]
    for side in ("question", "passage"):
        texts = ["Wie drucke ich eine Tabelle?", "How do I print a table?", "!"]
        given_by_load = Debiased(base, fitted).encode(texts, side)
        np.testing.assert_allclose(index.debias(texts, base.encode(texts, side), side), given_by_load, atol=1e-6)


def test_centering_has_a_strength_that_is_kept_with_the_index(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    given, base = documents(), Biased()
    folder = tmp_path / "half"
    index = Index.build(given, folder, model=base, center_strength=0.5)
    codes = [each.language for each in given]
    plain = base.encode([each.full_text for each in given], "passage")
    means = dict(zip(index.stats.languages, index.stats.means, strict=True))
    wanted = plain - np.array([means[code] for code in codes]) / 2
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = stores[str((folder / "store").resolve())].vectors("centered", [each.id for each in given])
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    again = Index.open(folder, model=base)
    assert again.debiasing.strength == 0.5
    np.testing.assert_array_equal(again.debiasing.offset, index.debiasing.offset)
    # A document that is added later is centered as much.
    again.add([Document("new", given[0].text, language=codes[0], title=given[0].title)])
    np.testing.assert_allclose(again.store.vectors("centered", ["new"])[0], wanted[0], atol=1e-6)
    full = Index.build(given, tmp_path / "full", model=base)
    np.testing.assert_allclose(index.debiasing.offset, full.debiasing.offset / 2, atol=1e-7)
    for mode in ("centered", "balanced"):
        hits = [each.search("<de> topic3", language="de", mode=mode, k=120).hits for each in (index, full)]
        scores = [{hit.document.id: hit.score for hit in found} for found in hits]
        assert scores[0] != pytest.approx(scores[1], abs=1e-3)


def test_an_index_with_another_strength_of_centering_is_refused(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    given, base = documents(("de", "en")), Biased()
    Index.build(given, tmp_path / "half", model=base, center_strength=0.5)
    assert len(Index.build(given, tmp_path / "half", model=base, center_strength=0.5)) == 60
    with pytest.raises(PanglotError, match=r"contains an index already, with `center_strength` 0\.5"):
        Index.build(given, tmp_path / "half", model=base)
    with pytest.raises(PanglotError, match=r"must be between 0 and 1, got 1\.5"):
        Index.build(given, tmp_path / "more", model=base, center_strength=1.5)
    vectors = base.encode([each.full_text for each in given], "passage")
    own = Debiased(base, LanguageStats.of([([each.language for each in given], vectors)], DIMENSION).centering())
    with pytest.raises(PanglotError, match="debiased already, with strength 1"):
        Index.build(given, tmp_path / "own", model=own, center_strength=0.5)
    assert not (tmp_path / "own").exists()
    assert len(Index.build(given, tmp_path / "own", model=own)) == len(Index.build(given, tmp_path / "own", model=own))


def test_an_own_debiasing_centers_queries_in_unknown_languages_by_the_mean_of_its_languages() -> None:
    generator = np.random.default_rng(0)
    offset = generator.normal(size=(2, 3, 8)).astype(np.float32)
    none = np.zeros((2, 3, 0, 8), np.float32)
    own = Debiasing("center", ("de", "en", "ja"), offset, none, np.zeros((0, 8), np.float32))
    vectors = generator.normal(size=(2, 8)).astype(np.float32)
    found = center(own, vectors, ["", "fr"], "question")
    moved = vectors - offset[0].mean(axis=0)
    np.testing.assert_allclose(found, moved / np.linalg.norm(moved, axis=1, keepdims=True), atol=1e-6)
    kept = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(center(own, vectors, ["", "fr"], "passage"), kept, atol=1e-6)


def test_documents_in_languages_that_were_not_fitted_are_said(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    base, given = Biased(), documents(("de", "en"))
    vectors = base.encode([each.full_text for each in given], "passage")
    means = LanguageStats.of([([each.language for each in given], vectors)], DIMENSION).centering()
    own = Debiasing("center", ("de", "en"), means.offset[:, :2], means.directions[:, :2], means.subspace)
    with pytest.warns(RuntimeWarning, match="was not fitted on sw, whose vectors do not change"):
        Index.build([*given, *documents(("sw",))], tmp_path / "index", model=Debiased(base, own))


def test_filter_collapse_and_prefer(index: Index) -> None:
    only = index.search("<de> topic3", k=50, language="de", languages=("ja", "sw"))
    assert {hit.document.language for hit in only.hits} == {"ja", "sw"}
    assert set(only.shares) == {"ja", "sw"}
    assert index.search("<de> topic3", languages=("fr",)).hits == ()
    folded = index.search("<de> topic3", k=8, language="de", mode="centered", collapse=True)
    assert len({hit.document.group for hit in folded.hits}) == len(folded.hits) == 8
    first = folded.hits[0]
    assert set(first.languages) == set(LANGUAGES)
    assert next(iter(first.languages.values())) == first.document.id
    whole = index.search("<de> topic3", k=30, language="de", collapse=True)
    assert len({hit.document.group for hit in whole.hits}) == 30
    read = index.search("<de> topic3", k=3, language="de", mode="preferred", preferred_languages=("sw",), boost=2.0)
    assert {hit.document.language for hit in read.hits} == {"sw"}


def test_the_boost_works_in_every_mode(index: Index) -> None:
    for mode in ("plain", "centered", "balanced"):
        asked: dict[str, Any] = {"language": "de", "mode": mode}
        before = {hit.document.id: hit for hit in index.search("<de> topic3", k=120, **asked).hits}
        after = index.search("<de> topic3", k=120, **asked, preferred_languages=["sw"], boost=0.3)
        for hit in after.hits:
            boost = 0.3 if hit.document.language == "sw" else 0
            assert hit.score == pytest.approx(before[hit.document.id].score + boost)
            assert sum(hit.explanation.values()) == pytest.approx(hit.score)
        few = index.search("<de> topic3", k=7, **asked, preferred_languages=["sw"], boost=0.3)
        assert few.hits == after.hits[:7]


def test_a_query_in_an_unknown_language_uses_none(index: Index) -> None:
    for mode in ("centered", "balanced"):
        asked: dict[str, Any] = {"k": 4, "mode": mode}
        answer = index.search("<de> topic3", **asked)
        assert (answer.language, answer.language_source, answer.detected) == ("", "default", False)
        # French has no documents, so that the mean of all is subtracted.
        assert ids(answer) == ids(index.search("<de> topic3", **asked, language="fr"))
        stated = index.search("<de> topic3", **asked, default_language="deu")
        assert (stated.language, stated.language_source) == ("de", "default")
        assert ids(stated) == ids(index.search("<de> topic3", **asked, language="de"))
        found = stated.as_json()
        assert (found["language"], found["language_source"], found["detected"]) == ("de", "default", False)
        assert 0 <= found["language_confidence"] < 0.6


def test_adding_replaces_and_deleting_removes(index: Index) -> None:
    new = [Document("topic3-de", "<de> topic9 new", "", "de", "topic9"), Document("n", "<fr> topic3 neu", "", "fr")]
    assert index.add(new) == 2
    assert len(index) == 121
    assert "topic3-de" not in ids(index.search("<de> topic3", k=4, language="de", mode="centered"))
    # French came after the building: it is taken for the mean of all languages.
    assert "n" in ids(index.search("<fr> topic3", k=5, language="fr", mode="centered"))
    assert index.search("<fr> topic3", k=121, language="fr", mode="balanced").hits[-1].rank == 121
    assert index.delete(["n", "no such"]) == 1
    assert len(index) == 120


def test_ids_may_be_numbers_as_in_documents(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    index = Index.build([{"id": each, "text": f"<de> {each}", "language": "de"} for each in range(5)],
                        tmp_path / "index", model=Biased())  # fmt: skip
    assert (index.delete([0, "1"]), index.delete(2), index.delete("3")) == (2, 1, 1)
    assert len(index) == 1


def test_one_query_is_not_taken_for_a_list_of_its_letters(index: Index) -> None:
    with pytest.raises(PanglotError, match="expected a list of texts, got one text"):
        index.encode("<de> topic3")


def test_one_id_is_one_document(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    index = Index.build([{"id": each, "text": f"<de> {each}", "language": "de"} for each in ("1", "2", "12")],
                        tmp_path / "index", model=Biased())  # fmt: skip
    assert index.delete("12") == 1
    assert sorted(ids(index.search("<de> 1", language="de"))) == ["1", "2"]


def test_a_language_stands_for_its_regional_forms(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    texts = [{"id": each, "text": f"<{each[:2]}> topic1", "language": each} for each in ("en-US", "pt-BR", "pt", "de")]
    index = Index.build(texts, tmp_path / "index", model=Biased())
    assert index.search("<en> topic1", language="en").language == "en-US"
    assert ids(index.search("<en> topic1", language="en", languages="en")) == ["en-US"]
    assert set(ids(index.search("<en> topic1", language="en", languages="en,pt"))) == {"en-US", "pt", "pt-BR"}
    assert ids(index.search("<en> topic1", language="en", languages="fr")) == []
    assert (
        ids(index.search("<de> topic1", mode="preferred", preferred_languages="en", boost=2.0, language="de"))[0]
        == "en-US"
    )


def test_what_is_wrong_names_its_field(index: Index, tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="`query` must not be empty"):
        index.search("  ")
    with pytest.raises(PanglotError, match="no index here"):
        Index.open(tmp_path / "nowhere")
    with pytest.raises(PanglotError, match="an index already"):
        Index.build(documents()[1:], index.folder, model=Biased())


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]"])
def test_a_damaged_head_is_told(index: Index, text: str) -> None:
    (index.folder / NAME).write_text(text)
    with pytest.raises(PanglotError, match="damaged"):
        Index.open(index.folder, model=Biased())


@pytest.mark.parametrize("name", ["pool.json", "pool.npy", "debiasing.json", "debiasing.safetensors"])
def test_a_file_that_is_gone_is_named_with_its_cure(index: Index, name: str) -> None:
    (index.folder / name).unlink()
    with pytest.raises(PanglotError, match=rf"{name}.*build the index again"):
        Index.open(index.folder, model=Biased())


@pytest.mark.parametrize("at", [-1, 200])
def test_damaged_means_are_told(index: Index, at: int) -> None:
    path = index.folder / "pool.npy"
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(PanglotError, match=r"pool\.npy.*damaged.*build the index again"):
        Index.open(index.folder, model=Biased())


def test_an_index_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    Index.build(documents(), tmp_path / "index", model=Biased()).close()
    reader = Index.open(tmp_path / "index", model=Biased())
    shutil.move(tmp_path / "index", tmp_path / "old")
    Index.build(documents(("fr",)), tmp_path / "index", model=Biased(0.5)).close()
    for change in (reader.refresh, lambda: reader.delete("topic1-de")):
        with pytest.raises(PanglotError, match="another index was put in the place"):
            change()
    assert ids(reader.search("<de> topic3", language="de"))[0] == "topic3-de"
    # A folder that was put together from two copies is refused.
    shutil.rmtree(tmp_path / "index" / "store")
    shutil.copytree(tmp_path / "old" / "store", tmp_path / "index" / "store")
    with pytest.raises(PanglotError, match=r"the store belongs to another index than `index\.json`"):
        Index.open(tmp_path / "index", model=Biased(0.5))


def test_an_index_of_the_first_version_opens(index: Index) -> None:
    metadata = json.loads((index.folder / NAME).read_text("utf-8"))
    metadata["spaces"] = metadata.pop("vector_fields")
    del metadata["build"]
    pool = json.loads((index.folder / "pool.json").read_text("utf-8"))
    del pool["sha256"]
    (index.folder / "pool.json").write_text(json.dumps(pool))
    (index.folder / NAME).write_text(json.dumps(metadata))
    again = Index.open(index.folder, model=Biased())
    assert ids(again.search("<de> topic3", language="de")) == ids(index.search("<de> topic3", language="de"))


def test_a_later_format_is_told(index: Index) -> None:
    head = json.loads((index.folder / NAME).read_text("utf-8"))
    (index.folder / NAME).write_text(json.dumps({**head, "format": 99, "panglot": "9.0", "new": 1}))
    with pytest.raises(PanglotError, match=r"written by panglot 9\.0 in format 99, and panglot .* up to 1.*update"):
        Index.open(index.folder, model=Biased())


def test_a_build_that_stopped_is_no_index_and_goes_on(
    stores: dict[str, MemoryStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stores

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "upsert", killed)
        with pytest.raises(KeyboardInterrupt):
            Index.build(documents(), tmp_path / "index", model=Biased())
    assert not is_index(tmp_path / "index")
    assert len(Index.build(documents(), tmp_path / "index", model=Biased())) == 120


def test_two_processes_do_not_build_one_index(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    with lock(tmp_path / "index" / "shards" / "lock"), pytest.raises(PanglotError, match="another process builds this"):
        Index.build(documents(), tmp_path / "index", model=Biased())
    assert len(Index.build(documents(), tmp_path / "index", model=Biased())) == 120
    assert not (tmp_path / "index" / "shards").exists()


def test_one_document_alone_is_found(stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    del stores
    index = Index.build(documents(("de",), ("topic1",)), tmp_path / "index", model=Biased())
    for mode in MODES:
        assert ids(index.search("<sw> topic1", language="sw", mode=mode, preferred_languages=("de",))) == ["topic1-de"]


def test_the_best_sentence_is_marked(index: Index) -> None:
    text = "Alles handelt von Katzen. Dann kommen Hunde vor. Zuletzt singen Vögel."
    index.add([Document("long", text, "", "de"), Document("short", "<de> topic28", "", "de")])
    answer = index.search("Dann kommen Hunde vor.", k=122, language="de", highlight=True)
    marks = {hit.document.id: hit.highlight for hit in answer.hits}
    begin, end = marks["long"] or (0, 0)
    assert text[begin:end] == "Dann kommen Hunde vor."
    assert marks["short"] is None  # The mark of a whole text would say nothing.
    assert index.search("<de> topic2", language="de").hits[0].highlight is None


@pytest.mark.parametrize(
    "options",
    [*({"mode": mode} for mode in MODES), {"collapse": True}, {"hybrid": True}, {"collapse": True, "mode": "balanced"}],
)
def test_a_page_is_a_part_of_the_longer_result(index: Index, options: dict[str, Any]) -> None:
    if options.get("hybrid"):
        pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")
    options = {"language": "de", "preferred_languages": ("ja",), **options}
    whole = index.search("<de> topic3", k=60, **options).hits
    assert index.search("<de> topic3", k=55, offset=5, **options).hits == whole[5:]
    assert index.search("<de> topic3", k=60, offset=9_000, **options).hits == ()


def test_a_page_of_a_reranked_result_is_a_part_of_it(index: Index) -> None:
    class Backwards:
        def scores(self, query: str, texts: list[str]) -> np.ndarray:
            del query
            return np.array([float(text[::-1] > "c") - len(text) / 100 for text in texts])

    index.searcher = dataclasses.replace(index.searcher, reranker=Backwards())  # type: ignore[arg-type]
    whole = index.search("<de> topic3", k=20, language="de").hits
    assert index.search("<de> topic3", k=8, offset=12, language="de").hits == whole[12:]
    assert [hit.rank for hit in whole[12:]] == list(range(13, 21))
    least = whole[4].score
    kept = index.search("<de> topic3", k=20, language="de", score_threshold=least).hits
    assert kept == tuple(hit for hit in whole if hit.score >= least)


@pytest.mark.parametrize("mode", MODES)
def test_a_threshold_leaves_out_what_scores_less(index: Index, mode: Any) -> None:
    whole = index.search("<de> topic3", k=30, language="de", mode=mode, preferred_languages=("ja",)).hits
    least = whole[7].score
    kept = index.search(
        "<de> topic3", k=30, language="de", mode=mode, preferred_languages=("ja",), score_threshold=least
    ).hits
    assert kept == tuple(hit for hit in whole if hit.score >= least)
    assert 8 <= len(kept) < 30
    nothing = index.search("<de> topic3", language="de", mode=mode, preferred_languages=("ja",), score_threshold=9)
    assert nothing.hits == ()


def test_documents_have_the_fields_that_were_asked_for(index: Index) -> None:
    index.add([Document("new", "Hunde bellen. Katzen nicht.", "Tiere", "de", metadata={"n": 7, "year": 2024})])

    def found(**options: Any) -> Document:
        return index.search("Hunde bellen.", k=1, language="de", **options).hits[0].document

    whole = found()
    assert found(fields="title, year") == dataclasses.replace(whole, text="", metadata={"year": 2024})
    assert found(fields=["text"]) == dataclasses.replace(whole, title="", metadata={})
    assert found(fields=["language"]) == dataclasses.replace(whole, text="", title="", metadata={})
    with pytest.raises(PanglotError, match=r"no field 'titel'\. Fix: write title, or another of n, year, text, id"):
        found(fields=["text", "titel"])
    marked = index.search("Katzen nicht.", k=1, language="de", fields=["text"], highlight=True).hits[0]
    assert marked.highlight == (14, 27)
    with pytest.raises(PanglotError, match="`highlight` requires `text` in `fields`"):
        found(fields=["title"], highlight=True)


def test_the_command_encodes_in_several_processes_or_on_a_cluster_but_not_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def build(documents: object, folder: Path, **given: str) -> Index:
        del documents, folder
        asked.append(given["on"])
        raise PanglotError("enough")

    monkeypatch.setattr(Index, "build", build)
    (tmp_path / "docs.jsonl").write_text('{"id": "1", "text": "x", "language": "en"}\n')

    def run(*options: str) -> PanglotError:
        arguments = [str(tmp_path / "docs.jsonl"), "--output", str(tmp_path / "index"), *options]
        with pytest.raises(PanglotError) as caught:
            CliRunner().invoke(index_command, arguments, catch_exceptions=False)
        return caught.value

    for options in ((), ("--processes", "3"), ("--encoder", "ray://head:10001")):
        run(*options)
    assert asked == ["", "processes:3", "ray://head:10001"]
    error = run("--processes", "3", "--encoder", "ray")
    assert (error.field, len(asked)) == ("processes", 3)
    assert "--encoder" in (error.hint or "")
    assert "--processes" in (run("--add", "--processes", "2").hint or "")
    assert CliRunner().invoke(index_command, ["x", "--output", "y", "--processes", "0"]).exit_code == 2
