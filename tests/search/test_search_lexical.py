"""Matching words and second looks."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from search_made import Biased, MemoryStore, documents, use_memory

from panglot import _environment
from panglot._errors import PanglotError
from panglot.encoders.sentence_transformer import Reranker
from panglot.search.document import Document, ScoredDocument
from panglot.search.index import Index
from panglot.search.ranking import lexical
from panglot.search.ranking.lexical import LexicalIndex, fused, matching, words, write
from panglot.search.ranking.reranking import reranked
from panglot.search.storage.embedded import EmbeddedStore
from panglot.search.storage.store import documents_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("icu4py", reason="pip install 'panglot[lexical]'")


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("th", "พิมพ์ตารางบางส่วน", "ตาราง"),
        ("ja", "テーブルの一部を印刷する", "印刷"),
        ("zh", "打印表格的一部分", "打印"),
        ("km", "បោះពុម្ពតារាង", "តារាង"),
        ("de", "Fehler E-1047: Drucken", "drucken"),
        ("en", "ｔａｂｌｅ 3.5", "table"),
        ("tr", "don't B2B", "b2b"),
    ],
)
def test_words_are_words_in_every_script(language: str, text: str, found: str) -> None:
    assert found in words(text, language)
    assert all(word.strip() and any(letter.isalnum() for letter in word) for word in words(text, language))


def test_words_find_documents_of_the_questions_language(tmp_path: Path) -> None:
    given = [
        Document("1", "Der Fehler E1047 beim Drucken", "", "de"),
        Document("2", "Ein Fehler beim Speichern", "", "de"),
        Document("3", "Error E1047 while printing", "", "en"),
        Document("4", "O erro E1047 ao imprimir", "", "pt-BR"),
        Document("5", "…", "", "ja"),
    ]
    write(tmp_path / "words" / "all", [given[:2], given[2:]])
    found = LexicalIndex(tmp_path / "words", MemoryStore((), 1))
    assert found.search("Fehler E1047", "de", 10) == ["1", "2"]
    assert found.search("Fehler E1047", "de", 1) == ["1"]
    assert found.search("E1047", "en", 10) == ["3"]
    assert found.search("erro", "pt", 10) == ["4"]
    assert set(found.search("E1047", "fr", 10)) == {"1", "3", "4"}, "a code is found in any language"
    assert set(found.search("Fehler E1047", "", 10)) == {"1", "2", "3", "4"}, "an unknown language is any"
    assert found.search("E1047", "de", 10, ("en", "pt-BR", "fr")) == ["3", "4"], "a filter chooses the words"
    assert found.search("Speichern", "de", 10, ("en",)) == []
    for nothing in (("", "de"), ("Xylophon", "de"), ("…", "ja")):
        assert found.search(*nothing, 10) == []
    suffixes = {path.suffix for path in (tmp_path / "words").rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".npy"}
    for path in (tmp_path / "words").rglob("*.npy"):
        np.load(path, allow_pickle=False)


def test_words_are_made_again_if_a_write_came_between(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    new = [Document("new", "Der Fehler x2048", "", "de")]

    def write_slowly(*given: Any) -> None:
        write(*given)
        if new:
            index.add([new.pop()])

    monkeypatch.setattr(lexical, "write", write_slowly)
    assert index.lexical.search("x1047", "de", 5) == ["code"]
    assert index.lexical.search("x2048", "de", 5) == ["new"]


@pytest.mark.parametrize("damage", [b"", b"[1", b'["2"]', None])
@pytest.mark.parametrize("name", ["part.json", "ids.json", "rows.npy"])
def test_damaged_words_are_made_again(index: Index, name: str, damage: bytes | None) -> None:
    found = index.lexical.search("x1047", "de", 5)
    path = index.folder / "lexical" / "all" / name
    path.unlink() if damage is None else path.write_bytes(damage)
    index.lexical.reload()
    # A missing head means that there are no words yet.
    said = contextlib.nullcontext() if damage is None and name == "part.json" else pytest.warns(match="made again")
    with said:
        assert index.lexical.search("x1047", "de", 5) == found == ["code"]
    index.lexical.reload()
    assert index.lexical.search("x1047", "de", 5) == found


def test_a_folder_that_cannot_be_written_is_searched_and_says_why_it_cannot_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [Document("1", "Der Fehler beim Drucken", "", "de"), Document("2", "Ein Blatt", "", "de")]
    Index.build(given, tmp_path / "index", model=Biased()).close()
    index = Index.open(tmp_path / "index", model=Biased())

    made = tempfile.mkdtemp

    def refuse(suffix: str | None = None, prefix: str | None = None, dir: object = None) -> str:  # noqa: A002
        if str(dir).startswith(str(tmp_path)):
            raise OSError(30, "Read-only file system")
        return made(suffix, prefix)

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.warns(RuntimeWarning, match="indexed for this process alone: cannot write: Read-only"):
        assert index.search("Fehler", language="de", hybrid=True).hits[0].document.id == "1"
    assert not [path for path in (tmp_path / "index").rglob("*") if "lexical" in path.parts and path.is_file()]
    index.close()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users of POSIX")
def test_another_user_searches_an_index_that_it_may_only_read(tmp_path: Path) -> None:
    """As root, permissions do not count, so that another process gives up its rights first."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    given = [Document("1", "Der Fehler beim Drucken", "", "de")]
    Index.build(given, tmp_path / "index", model=Biased()).close()
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 1:
            pytest.skip(f"{folder} is closed to other users")
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            index = Index.open(tmp_path / "index", model=Biased())
            warnings.simplefilter("ignore")
            assert index.search("Fehler", language="de", hybrid=True).hits
            try:
                index.delete("1")
            except PanglotError as error:
                code = 0 if "cannot write: Permission denied" in str(error) else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_words_that_another_process_made_stale_are_made_again(tmp_path: Path) -> None:
    given = [Document("1", "Der Fehler beim Drucken", "", "de"), Document("2", "Ein Blatt", "", "de")]
    Index.build(given, tmp_path / "index", model=Biased()).close()
    reader, writer = (Index.open(tmp_path / "index", model=Biased()) for _ in range(2))
    writer.add([Document("3", "Xylophon", "", "de")])
    # The reader has not looked yet, so it searches the words of its own version.
    assert reader.lexical.search("Xylophon", "de", 5) == []
    assert reader.refresh()
    assert reader.lexical.search("Xylophon", "de", 5) == ["3"]
    reader.close()
    writer.close()


def rounds(store: EmbeddedStore, seed: int, most: int) -> Iterator[None]:
    """Write a few documents and delete a few, over and over: segments come, are merged and rewritten."""
    dice = np.random.default_rng(seed)
    vocabulary = [f"w{number}" for number in range(30)]
    for _ in range(most):
        ids = dice.permutation(40)[: dice.integers(1, 9)].tolist()
        given = [
            Document(
                f"{name}", " ".join(dice.choice(vocabulary, dice.integers(0, 12))), "", ("de", "en", "th")[name % 3]
            )
            for name in ids
        ]
        vectors = np.tile(np.eye(1, 4, dtype=np.float32), (len(given), 1))
        store.upsert(given, {"plain": vectors})
        store.delete([f"{name}" for name in dice.integers(0, 40, dice.integers(0, 6)).tolist()])
        yield


@pytest.mark.parametrize("seed", range(3))
def test_words_by_parts_score_as_those_of_all_documents(tmp_path: Path, seed: int) -> None:
    """After every write, kept parts give what words made from nothing give, and what bm25s gives."""
    bm25s = pytest.importorskip("bm25s")
    store = EmbeddedStore.create(tmp_path / "store", vector_fields=("plain",), dimension=4)
    kept = LexicalIndex(tmp_path / "kept", store)
    for number, _ in enumerate(rounds(store, seed, 9)):
        fresh = LexicalIndex(tmp_path / f"fresh{number}", store)
        live = [each for piece in documents_of(store) for each in piece]
        for code in ("de", "th", ""):
            asked = f"w{number} w3 w3 w17"
            found = matching(kept.open(), asked, [code] if code else ["de", "en", "th"], 99)
            assert found == matching(fresh.open(), asked, [code] if code else ["de", "en", "th"], 99)
            assert kept.search(asked, code, 5) == fresh.search(asked, code, 5)
            texts = [(each.id, each.text.split()) for each in live if each.language == code]
            if any(text for _, text in texts):
                model = bm25s.BM25()
                model.index([text for _, text in texts], show_progress=False)
                known = [word for word in asked.split() if word in model.vocab_dict]
                scores = model.get_scores(known) if known else np.zeros(len(texts))
                theirs = {name: score for (name, _), score in zip(texts, scores.tolist(), strict=True) if score > 0}
                assert dict(found) == pytest.approx(theirs, rel=1e-5)
        names = {part.name for part in store.parts()}
        assert {path.name for path in (tmp_path / "kept").iterdir()} == names


def test_a_write_makes_only_the_words_of_what_it_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [Document(f"{number}", f"Der Fehler x{number}", "", "de") for number in range(20)]
    index = Index.build(given, tmp_path / "index", model=Biased())
    index.lexical.open()
    split: list[str] = []
    monkeypatch.setattr(lexical, "words", lambda text, code: [split.append(text), *words(text, code)][1:])
    index.add([Document("new", "Der Fehler x99", "", "de")])
    index.delete(["7"])
    assert index.lexical.search("x99", "de", 5) == ["new"]
    assert index.lexical.search("x7", "de", 5) == []
    assert set(split) == {"Der Fehler x99", "x99", "x7"}
    index.close()
    again = Index.open(tmp_path / "index", model=Biased())
    split.clear()
    assert again.lexical.search("x99", "de", 5) == ["new"]
    assert split == ["x99"]
    again.close()


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_environment, "find_spec", lambda _: None)
    with pytest.raises(PanglotError, match=r"needs icu4py.*pip install '.*\[lexical\]"):
        write(Path("never"), [])


def test_fusion_is_the_sum_of_reciprocal_ranks() -> None:
    given = [ScoredDocument(name, 1 - 0.1 * row, "de") for row, name in enumerate("abcd")]
    found = fused(given, ["c", "d"])
    assert [each.id for each in found] == ["c", "d", "a", "b"]
    assert found[0].score == 1 / 63 + 1 / 61
    assert all(each.explanation["dense"] + each.explanation["lexical"] == each.score for each in found)
    assert [each.id for each in fused(given, [])] == list("abcd")
    # A weight of 0 leaves the order by vectors, 1 puts what has words before what has none.
    assert [each.id for each in fused(given, ["d", "c"], 0)] == list("abcd")
    assert [each.id for each in fused(given, ["d", "c"], 1)] == list("dcab")
    places = [[each.id for each in fused(given, ["d"], weight / 10)].index("d") for weight in range(11)]
    assert places == sorted(places, reverse=True)
    assert (places[0], places[-1]) == (3, 0)
    third = {each.id: each.score for each in fused(given, ["d"], 0.3)}
    assert third["d"] == pytest.approx(2 * (0.7 / 64 + 0.3 / 61))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Index:
    use_memory(monkeypatch)
    more = [
        Document("code", "<de> topic99 topic95 topic94 topic93 x1047", "", "de"),
        Document("ja", "<ja> topic98 x1047", "", "ja"),
    ]
    return Index.build([*documents(), *more], tmp_path / "index", model=Biased())


def test_an_exact_match_that_vectors_miss_is_found(index: Index) -> None:
    asked: dict[str, Any] = {"k": 3, "language": "de"}
    assert "code" not in [hit.document.id for hit in index.search("<de> topic50 x1047", **asked).hits]
    for mode in ("plain", "centered", "balanced"):
        answer = index.search("<de> topic50 x1047", **asked, mode=mode, hybrid=True)
        mine = next(hit for hit in answer.hits if hit.document.id == "code")
        assert mine.explanation["lexical"] == 1 / 61
        assert "ja" not in [hit.document.id for hit in answer.hits]
    light = index.search("<de> topic50 x1047", **asked, hybrid=True, lexical_weight=0)
    dense = index.search("<de> topic50 x1047", **asked)
    assert [hit.document.id for hit in light.hits] == [hit.document.id for hit in dense.hits]
    with pytest.raises(PanglotError, match="`lexical_weight` requires `hybrid`"):
        index.search("<de> topic50 x1047", **asked, lexical_weight=0.3)
    only = index.search("<de> topic50 x1047", **asked, hybrid=True, languages=("sw",))
    assert {hit.document.language for hit in only.hits} == {"sw"}
    filtered = index.search("<de> topic50 x1047", **asked, hybrid=True, languages=("ja",))
    assert next(hit for hit in filtered.hits if hit.document.id == "ja").explanation["lexical"] == 1 / 61


def test_words_follow_what_is_added_and_deleted(index: Index) -> None:
    index.lexical.open()
    index.add([Document("late", "<de> topic97 y2000", "", "de")])
    assert index.lexical.search("y2000", "de", 5) == ["late"]
    index.delete(["late"])
    assert index.lexical.search("y2000", "de", 5) == []
    assert (index.folder / "lexical").is_dir()


def test_a_cross_encoder_has_the_last_word(index: Index, cross_encoder: Path) -> None:
    again = Index.open(index.folder, model=Biased(), reranker=str(cross_encoder))
    answer = again.search("<de> topic3", k=10, language="de", mode="centered")
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    from sentence_transformers import CrossEncoder

    theirs = CrossEncoder(str(cross_encoder)).predict([("<de> topic3", hit.document.full_text) for hit in answer.hits])
    np.testing.assert_allclose(scores, theirs, atol=1e-5)
    assert all(list(hit.explanation) == ["cosine", "reranker"] for hit in answer.hits)
    # It orders the first 50 of the mode: those, and no others.
    plain = {hit.document.id for hit in index.search("<de> topic3", k=50, language="de", mode="centered").hits}
    assert {hit.document.id for hit in answer.hits} <= plain


def test_what_is_no_cross_encoder_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PanglotError, match="not a cross-encoder"):
        Reranker(str(tmp_path))


def test_equal_new_scores_keep_the_order() -> None:
    given = [ScoredDocument(name, 0.5, "de") for name in "bca"]
    assert [each.id for each in reranked(given, np.zeros(3))] == list("bca")
    assert [each.id for each in reranked(given, np.array([0.0, 2.0, 1.0]))] == list("cab")
