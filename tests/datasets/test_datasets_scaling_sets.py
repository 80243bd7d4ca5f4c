"""The sets of the study of language scaling: SIB-200, Tatoeba-112, NTREX's passages, TyDi QA's large pools."""

from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.batching.table import TrainingTable
from panglot.data.collection import Collection
from panglot.data.overlap import Texts
from panglot.datasets import translations, tydiqa
from panglot.datasets.catalog import CARDS
from panglot.datasets.registry import read
from panglot.evaluation import figures
from panglot.evaluation.measures import parse


def _tells_translations(collection: Collection) -> None:
    left, right = collection.pairs
    assert (collection.question_language[left] != collection.passage_language[right]).all()
    groups = [table["group"].to_pylist() for table in (collection.questions, collection.passages)]
    some = np.random.default_rng(0).integers(len(left), size=2000)
    assert all(groups[0][left[i]] == groups[1][right[i]] for i in some)
    versions = Counter(groups[0])
    assert len(left) == sum(n * (n - 1) for n in versions.values())


def test_sib(data_dir: Path) -> None:
    wanted = ["en", "id", "fil", "ca", "mr", "zh", "ak", "ak-x-twi", "ar-Latn"]
    sizes = {"train": 701, "dev": 99, "test": 204}
    broken = {"train": {"id": 18, "fil": 13, "ca": 7, "mr": 1}, "dev": {"id": 3, "fil": 2},
              "test": {"id": 5, "fil": 3, "ca": 2}}  # fmt: skip
    sentences: list[set[str]] = []
    for part, size in sizes.items():
        collection = read("sib-200", data_dir=data_dir, part=part, languages=wanted)
        assert Counter(collection.passages["language"].to_pylist()) == {
            code: size - broken[part].get(code, 0) for code in wanted
        }
        assert collection.metadata["left out, wrongly decoded"] == str(sum(broken[part].values()))
        assert collection.metadata["test_only"] == ("yes" if part == "test" else "no")
        _tells_translations(collection)
        assert not TrainingTable.from_collection(collection).mono
        sentences.append(set(collection.questions["group"].to_pylist()))
    assert sum(map(len, sentences)) == len(set.union(*sentences)) == 1004


def test_sib_knows_damage_from_foreign_letters() -> None:
    assert all(map(translations.is_mojibake, ("BarÃ§a", "7â€“2", "Â£27", "â€\u0907", "\x93Es", "a\ufffdb")))
    fine = ("Ãnduni sʋl nĩnga", "Jag är från Skåne", "„Spaß“", "São João", "Âm nhạc", "« côté »", "Ð“ „ß”", "à\u00a0»")
    assert not any(map(translations.is_mojibake, fine))


def test_sib_made(tmp_path: Path) -> None:
    rows = [(code, number, split, f"{code} {number}") for code in ("eng_Latn", "deu_Latn", "twi_Latn", "aka_Latn")
            for number, split in ((3, "train"), (10, "train"), (4, "test"))]  # fmt: skip
    rows[1] = ("eng_Latn", 10, "train", "BarÃ§a")
    names = ("lang", "index_id", "split", "text")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), tmp_path / "x.parquet")
    collection = CARDS["sib-200"].read(tmp_path)
    assert collection.questions["id"].to_pylist() == [
        "ak:3",
        "ak:10",
        "ak-x-twi:3",
        "ak-x-twi:10",
        "de:3",
        "de:10",
        "en:3",
    ]
    assert len(collection.pairs[0]) == 4 * 3 + 3 * 2
    with pytest.raises(PanglotError, match="sib-200 has no text in these languages"):
        CARDS["sib-200"].read(tmp_path, languages=["fi"])


def test_tatoeba(data_dir: Path) -> None:
    sizes = {"de": 1000, "dtp": 1000, "dtp-x-kzj": 1000, "tzl": 104, "yue": 1000, "am": 168}
    for code, size in sizes.items():
        collection = read(f"tatoeba-112:{code}", data_dir=data_dir)
        assert collection.name == f"tatoeba-112:{code}"
        assert collection.metadata["test_only"] == "yes"
        counts = Counter(collection.passages["language"].to_pylist())
        assert counts == Counter(collection.questions["language"].to_pylist()) == {code: size, "en": size}
        assert len(set(collection.passages["text"].to_pylist())) >= 2 * size - 1
        _tells_translations(collection)
        assert len(collection.pairs[0]) == 2 * size
    table = pq.read_table(data_dir / "tatoeba-112" / "tatoeba-112.parquet")
    assert len(translations.names()) == len(table["lang"].unique()) == 112
    assert table.num_rows == 88_877


def test_tatoeba_is_read_a_pair_at_a_time(data_dir: Path) -> None:
    german = read("tatoeba-112:de", data_dir=data_dir).digest
    assert read("tatoeba-112", data_dir=data_dir, languages=["eng", "deu"]).digest == german
    assert read("tatoeba-112", data_dir=data_dir, part="de").digest == german
    for wrong in ({}, {"languages": ["en", "de", "fr"]}, {"languages": ["en"]}):
        with pytest.raises(PanglotError, match=r"112 pairs with English.*tatoeba-112:de"):
            read("tatoeba-112", data_dir=data_dir, **wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(PanglotError, match="no pair of fj and English"):
        read("tatoeba-112:fj", data_dir=data_dir)


def test_accuracy_of_tatoeba_is_that_of_the_pair(data_dir: Path) -> None:
    """R@1 both ways by definition: the share of sentences whose nearest on the other side is their translation."""
    collection = read("tatoeba-112:tzl", data_dir=data_dir)
    rng = np.random.default_rng(0)
    number = collection.questions.num_rows
    vectors = rng.normal(size=(number, 3)).astype(np.float32)
    vectors[1::2] = vectors[::2] + rng.normal(scale=0.7, size=(number // 2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors @ vectors.T
    foreign, english = (np.flatnonzero(collection.question_language == n) for n in
                        (collection.languages.index("tzl"), collection.languages.index("en")))  # fmt: skip
    plain = [float((scores[np.ix_(a, b)].argmax(1) == np.arange(len(a))).mean()) for a, b in
             ((foreign, english), (english, foreign))]  # fmt: skip
    found = figures.measure(vectors, vectors, collection, measures=[parse("R@1")], draws=0).figures
    assert found["monolingual"] is None
    assert found["crosslingual"]["matrix"]["R@1"] == {
        "tzl": {"en": pytest.approx(plain[0])},
        "en": {"tzl": pytest.approx(plain[1])},
    }
    assert found["crosslingual"]["R@1"] == pytest.approx(np.mean(plain))
    assert 0 < plain[0] < 1


@given(st.lists(st.integers(1, 40), max_size=6))
def test_stretches_hold_three_to_five_sentences(lengths: list[int]) -> None:
    documents = [f"d{n}" for n, length in enumerate(lengths) for _ in range(length)]
    found = list(translations.stretches(documents, range(len(documents))))
    assert all(3 <= len(rows) <= 5 and len({documents[row] for row in rows}) == 1 for rows in found)
    taken = list(chain.from_iterable(found))
    assert taken == sorted(set(taken))
    assert len(taken) == sum(length for length in lengths if length >= 3)
    assert all(list(rows) == list(range(rows[0], rows[-1] + 1)) for rows in found)


def test_ntrex_passages(data_dir: Path) -> None:
    wanted = ["en", "de", "zh", "th"]
    parts = [read(f"ntrex-128{part}@passage", data_dir=data_dir, languages=wanted) for part in ("", ":test")]
    assert [part.name for part in parts] == ["ntrex-128@passage", "ntrex-128:test@passage"]
    assert [part.metadata["test_only"] for part in parts] == ["no", "yes"]
    assert [len(part.questions["group"].unique()) for part in parts] == [360, 156]
    documents = [{group.rpartition("-")[0] for group in part.questions["group"].to_pylist()} for part in parts]
    assert not documents[0] & documents[1]
    assert list(map(len, documents)) == [85, 38]
    test = parts[1]
    assert test.questions["group"].equals(test.passages["group"])
    assert len(test.pairs[0]) == 156 * 16  # every version answers every version, its own language's included
    assert TrainingTable.from_collection(test).mono
    sentences = read("ntrex-128:test", data_dir=data_dir, languages=wanted)
    by_id = dict(zip(sentences.questions["id"].to_pylist(), sentences.questions["text"].to_pylist(), strict=True))
    for code, between in (("de", " "), ("zh", "")):
        first = next(row for row in test.questions.to_pylist() if row["language"] == code)
        document, _, line = first["group"].rpartition("-")
        assert first["text"] == by_id[first["id"]]
        passage = next(row["text"] for row in test.passages.to_pylist() if row["id"] == first["id"])
        following = [by_id[f"{code}:{document}-{int(line) + n}"] for n in range(1, 5)
                     if f"{code}:{document}-{int(line) + n}" in by_id]  # fmt: skip
        assert any(passage == between.join(following[:n]) for n in (2, 3, 4))


def test_ntrex_passages_are_in_one_column_a_language(data_dir: Path) -> None:
    collection = read("ntrex-128:test@passage", data_dir=data_dir)
    assert len(collection.languages) == 120
    assert not {"en-GB", "es-x-ref2", "pt-BR", "zh-Hant", "dz"} & set(collection.languages)
    assert {"gsw-u-sd-chbe", "gsw-u-sd-chzh"} <= set(collection.languages)
    assert collection.questions.num_rows == 120 * 156
    assert read("ntrex-128:test@passage", data_dir=data_dir, languages=["dz", "pt-BR"]).languages == ("dz", "pt-BR")


def test_the_dzongkha_of_ntrex_repeats_other_rows(data_dir: Path) -> None:
    repeated: dict[str, int] = {}
    for code in ("dzo", "bod", "eng"):
        texts = Texts(pq.read_table(data_dir / "ntrex-128" / "ntrex-128.parquet")[code].to_pylist())
        found = texts.matches(texts)
        far = (found.share >= 0.5) & (abs(found.first - found.second) > 30)
        repeated[code] = len(set(found.first[far].tolist()))
    assert repeated["dzo"] >= 240
    assert max(repeated["bod"], repeated["eng"]) <= 10


def test_large_pools_of_tydiqa(data_dir: Path) -> None:
    large, dev = read("tydiqa-goldp-large", data_dir=data_dir), read("tydiqa-goldp", data_dir=data_dir)
    assert large.metadata["test_only"] == "yes"
    assert large.questions.equals(dev.questions)
    assert large.qrels.equals(dev.qrels)
    assert large.passages.slice(0, dev.passages.num_rows).equals(dev.passages)
    assert Counter(large.passages["language"].to_pylist()) == {
        "ar": 1202, "bn": 465, "en": 8588, "fi": 5364, "id": 869, "ko": 1848, "ru": 1138, "sw": 2338, "te": 961,
    }  # fmt: skip
    assert large.metadata["left out, repeated"] == "4"
    assert large.metadata["left out, like a gold passage"] == "75"
    ids = large.passages["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert Counter(identity.split("-")[1] for identity in ids[dev.passages.num_rows :]).keys() == {
        "train", "squad", "ntrex", "sib",
    }  # fmt: skip
    texts = large.passages["text"].to_pylist()
    for code in dev.languages:
        mine = [
            text
            for text, language in zip(texts, large.passages["language"].to_pylist(), strict=True)
            if language == code
        ]
        number = Counter(dev.passages["language"].to_pylist())[code]
        found = Texts(mine[number:]).matches(Texts(mine[:number]))
        assert found.share.max(initial=0) < tydiqa.NEAR


def test_a_quarter_of_squads_articles_are_distractors(data_dir: Path) -> None:
    squad = CARDS["squad2-en-fi"].read(data_dir / "squad2-en-fi")
    articles = {group.partition("-")[0] for group in squad.passages["group"].to_pylist()}
    taken = {article for article in articles if translations.one_of(article, 4)}
    assert 0.2 < len(taken) / len(articles) < 0.3
    large = read("tydiqa-goldp-large", data_dir=data_dir)
    used = {identity.split("-")[2] for identity in large.passages["id"].to_pylist() if "-squad-" in identity}
    assert used == taken
    by_id = dict(zip(squad.passages["id"].to_pylist(), squad.passages["text"].to_pylist(), strict=True))
    pool = zip(large.passages["id"].to_pylist(), large.passages["text"].to_pylist(), strict=True)
    assert all(by_id[identity.replace("-squad-", "-")] == text for identity, text in pool if "-squad-" in identity)


def test_large_pools_need_the_other_sets(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "tydiqa-goldp").symlink_to(data_dir / "tydiqa-goldp")
    with pytest.raises(PanglotError, match="squad2-en-fi was not found"):
        read("tydiqa-goldp-large", data_dir=tmp_path)


def test_names_of_pairs_are_the_cards() -> None:
    assert len(translations.names()) == len(CARDS["tatoeba-112"].languages) - 1
    assert translations.names([]) == ()
