import gzip
import json
import os
import shutil
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from panglot._errors import PanglotError
from panglot.data.language import canonical
from panglot.datasets import hub, registry, squad_family
from panglot.datasets.catalog import CARDS, load_catalog


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", _offline)
    return tmp_path / "cache"


def _offline(*_: object, **__: object) -> str:
    raise ConnectionError("no way out")


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A data folder with a small MLQA."""
    (tmp_path / "data" / "mlqa" / "dev").mkdir(parents=True)
    for x in ("de", "en"):
        qas = [{"id": "f", "question": f"{x}?", "answers": [{"text": "B", "answer_start": 5}]}]
        file = {"data": [{"title": "", "paragraphs": [{"context": f"A{x}. B{x}.", "qas": qas}]}]}
        path = tmp_path / "data" / "mlqa" / "dev" / f"dev-context-{x}-question-{x}.json.gz"
        path.write_bytes(gzip.compress(json.dumps(file).encode()))
    return tmp_path / "data"


def test_found_under_the_folder_or_the_environment(fake: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = registry.read("mlqa", data_dir=fake)
    monkeypatch.setenv("PANGLOT_DATA", str(fake))
    assert registry.read("mlqa").digest == given.digest
    assert registry.read("mlqa", data_dir=tmp_path / "elsewhere").digest == given.digest
    assert sorted(given.passages["text"].to_pylist()) == ["Ade.", "Aen.", "Bde.", "Ben."]
    assert {given.passages["text"][int(row)].as_py() for row in given.pairs[1]} == {"Bde.", "Ben."}
    assert given.metadata["test_only"] == "no"


def test_options(fake: Path) -> None:
    assert registry.read("mlqa", data_dir=fake, candidates="paragraph").passages["text"][0].as_py() == "Ade. Bde."
    assert registry.read("mlqa", data_dir=fake, context=True).passages["text"][1].as_py() == "Bde.\nAde. Bde."
    assert registry.read("mlqa:dev", data_dir=fake).name == "mlqa"
    whole = registry.read("mlqa:dev@paragraph", data_dir=fake, candidates="sentence")
    assert whole.name == "mlqa@paragraph"
    assert whole.digest == registry.read("mlqa", data_dir=fake, candidates="paragraph").digest
    assert registry.read("mlqa", data_dir=fake, languages=["eng_Latn"]).languages == ("en",)
    for wrong, message in (
        ({"candidates": "page"}, "choose one of sentence, paragraph"),
        ({"candidates": "paragraph", "context": True}, "`context` needs sentences"),
        ({"part": "train"}, "choose one of dev, test, both"),
        ({"languages": ["fi"]}, "choose among de, en"),
    ):
        with pytest.raises(PanglotError, match=message):
            registry.read("mlqa", data_dir=fake, **wrong)  # pyright: ignore[reportArgumentType]


def test_what_is_missing_is_told(fake: Path) -> None:
    with pytest.raises(
        PanglotError, match=r"xquad-r was not found.*data/xquad-r/\*\.json.*get it from https://github.com"
    ):
        registry.read("xquad-r", data_dir=fake)
    with pytest.raises(PanglotError, match=r"tydiqa-goldp was not found.*ConnectionError: no way out"):
        registry.read("tydiqa-goldp", data_dir=fake)
    with pytest.raises(PanglotError, match=r"there is no data set, file or folder 'xquad'.*did you mean xquad-r"):
        registry.read("xquad")
    # Of a file, the path is wrong, not the name of a set.
    here, nowhere = str(fake / "xquad.jsonl"), "nothing/here.jsonl"
    for path, hint in ((here, "check the path"), (nowhere, "check the path: there is no folder nothing")):
        with pytest.raises(PanglotError, match=f"no such file or folder: {path}") as refused:
            registry.read(path)
        assert refused.value.hint == hint


def test_parsed_once_then_mapped(fake: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    first = registry.read("mlqa", data_dir=fake)
    monkeypatch.setattr(squad_family, "read_mlqa", _must_not_run)
    assert registry.read("mlqa", data_dir=fake).digest == first.digest
    with pytest.raises(AssertionError):
        registry.read("mlqa", data_dir=fake, candidates="paragraph")
    # A source file with another modification time is another collection.
    os.utime(next((fake / "mlqa" / "dev").iterdir()), (1, 1))
    with pytest.raises(AssertionError):
        registry.read("mlqa", data_dir=fake)
    assert len(list((cache / "collections").iterdir())) == 1


def _must_not_run(*_: object) -> None:
    raise AssertionError


@pytest.mark.parametrize("damage", ["cut", "no head", "other head", "gone"])
def test_a_damaged_cache_is_built_again(fake: Path, cache: Path, damage: str) -> None:
    first = registry.read("mlqa", data_dir=fake).digest
    folder = next((cache / "collections").iterdir())
    table = folder / "passages.arrow"
    if damage == "cut":
        table.write_bytes(table.read_bytes()[:40])
    elif damage == "no head":
        (folder / "collection.json").write_text("{")
    elif damage == "other head":
        (folder / "collection.json").write_text("{}")
    else:
        table.unlink()
    assert registry.read("mlqa", data_dir=fake).digest == first
    assert (folder / "passages.arrow").stat().st_size > 40


def test_a_cache_that_cannot_be_written_does_not_matter(fake: Path, cache: Path) -> None:
    cache.write_text("a file stands where the folder should be")
    assert registry.read("mlqa", data_dir=fake).questions.num_rows == 2


def test_paths(tmp_path: Path) -> None:
    squad = {"data": [{"paragraphs": [{"context": "Aa bb. Cc dd.", "qas": [
        {"id": "1", "question": "c?", "answers": [{"text": "C", "answer_start": 7}]}]}]}]}  # fmt: skip
    path = tmp_path / "train.fi.json.gz"
    path.write_bytes(gzip.compress(json.dumps(squad).encode()))
    assert registry.read(path).languages == ("fi",)
    assert registry.read(path, languages=["deu"], candidates="sentence").passages.to_pylist()[1] == {
        "id": "de-000001", "language": "de", "group": "de-000001", "text": "Cc dd.",
    }  # fmt: skip
    unnamed = shutil.copy(path, tmp_path / "squad.json.gz")
    with pytest.raises(PanglotError, match="language of this file is unknown"):
        registry.read(unnamed)
    for name in ("a.txt", "folder"):
        (tmp_path / name).write_text("x") if "." in name else (tmp_path / name).mkdir()
        with pytest.raises(PanglotError, match=r"unknown (kind|layout)"):
            registry.read(tmp_path / name)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"language": "en", "question": "q", "passage": "p"}\n')
    assert registry.read(str(rows)).name == "rows"
    with pytest.raises(PanglotError, match="`candidates` must be one of passage, paragraph, got 'sentence'"):
        registry.read(rows, candidates="sentence")
    with pytest.raises(PanglotError, match="has no parts"):
        registry.read(rows, part="test")


def test_large_files_are_kept(tmp_path: Path, cache: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"language": "en", "question": "q", "passage": "%s"}\n' % ("p " * 2_100_000))
    assert registry.read(rows).digest == registry.read(rows).digest
    assert len(list((cache / "collections").iterdir())) == 1


def test_cards_are_canonical_and_sorted() -> None:
    for name, card in CARDS.items():
        assert card.name == name
        assert card.languages == tuple(sorted(map(canonical, card.languages)))
        assert card.licence
        assert card.source
    assert CARDS["xquad-r"].is_test_only("")
    assert CARDS["tydiqa-goldp"].is_test_only("dev")
    assert not CARDS["tydiqa-goldp"].is_test_only("train")
    assert not CARDS["mlqa"].is_test_only("dev")


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if not card.shipped and name != "mlqa-r"])
def test_cards_tell_the_truth(name: str, data_dir: Path) -> None:
    if name == "tatoeba-112":
        pytest.skip("read a pair at a time")
    if registry.find(CARDS[name], data_dir) is None:
        pytest.skip("not at hand")
    # All pairs of 205 languages take 300 MB; the test part is enough.
    collection = registry.read(name, data_dir=data_dir, part="test" if name == "sib-200" else None,
                               candidates="topics" if "topics" in CARDS[name].candidates else None)  # fmt: skip
    assert collection.languages == CARDS[name].languages
    assert collection.name.partition(":")[0] == name
    never = name in ("xquad-r", "sib-200", "miracl", "mrtydi", "mkqa", "xor-tydi") or name.startswith("tydiqa-goldp")
    assert collection.metadata["test_only"] == ("yes" if never else "no")


def test_hub_files_become_the_publishers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def table(identity: str, path: str) -> None:
        rows = [{"id": identity, "title": "t", "context": "One. Two.", "question": "q?",
                 "answers": {"text": ["Two"], "answer_start": [5]}}]  # fmt: skip
        (tmp_path / "hub" / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hub" / path)

    table("swahili-1-0", "secondary_task/validation/0000.parquet")
    table("swahili-2-0", "secondary_task/train-00000-of-00001.parquet")
    table("f1", "mlqa.en.de/validation/0000.parquet")
    table("f1", "mlqa.en.en/validation/0000.parquet")
    calls: list[str] = []

    def download(repo: str, **_: object) -> str:
        calls.append(repo)
        return str(tmp_path / "hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    dev = registry.read("tydiqa-goldp")
    assert dev.questions["id"].to_pylist() == ["sw-swahili-1-0"]
    assert registry.read("tydiqa-goldp:train").questions["id"].to_pylist() == ["sw-swahili-2-0"]
    assert registry.read("mlqa").passages["text"].to_pylist() == ["One.", "Two."]
    assert registry.read("mlqa").questions["language"].to_pylist() == ["de", "en"]
    assert calls == ["google-research-datasets/tydiqa", "facebook/mlqa"]  # fetched once each
    assert hub.fetch(CARDS["xquad-r"]) is None


def test_a_new_set_is_one_entry_and_at_most_one_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new set needs only an entry, which names a reader, old or new. Nothing else is edited."""
    (tmp_path / "my_sets.py").write_text(
        "from panglot.data.collection import Text\n"
        "from panglot.data.transform import versions\n"
        "def read_pairs(folder, spec):\n"
        "    rows = [line.split('|') for line in (folder / f'{spec.part}.txt').read_text().splitlines()]\n"
        "    rows = [row for row in rows if spec.wants(row[0])]\n"
        "    asked = [Text(f'{x}:{n}', x, n, question) for x, n, question, _ in rows]\n"
        "    pool = [Text(f'{x}:{n}', x, n, passage) for x, n, _, passage in rows]\n"
        "    return versions(spec.name, asked, pool, spec.metadata)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    common = 'task = "t"\nparallel = "no"\nsize = "2"\nlicence = "MIT"\nsource = "here"\n'
    cards = load_catalog(
        f"""[mine]
title = "Mine"
reader = "my_sets:read_pairs"
languages = "en de"
folder = "mine"
files = "*.txt"
parts = ["test", "train"]
candidates = ["passage"]
test_only = ["test"]
selects_languages = true
{common}
[newsqa]
title = "NewsQA in MRQA's form"
reader = "panglot.datasets.squad_family:read_natural_questions"
languages = "en"
folder = "newsqa"
files = "*/*.jsonl"
parts = ["train"]
candidates = ["paragraph", "sentence"]
{common}"""
    )
    for name, card in cards.items():
        monkeypatch.setitem(CARDS, name, card)
    for part in ("test", "train"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / f"{part}.txt").write_text(f"en|1|who?|{part} she\nde|1|wer?|{part} sie\n")
    test = registry.read("mine", data_dir=tmp_path)
    assert (test.languages, test.qrels.num_rows, test.metadata["test_only"]) == (("de", "en"), 4, "yes")
    train = registry.read("mine:train", data_dir=tmp_path, languages=["deu"])
    assert (train.name, train.passages["text"].to_pylist()) == ("mine:train", ["train sie"])
    assert train.metadata["licence"] == "MIT"
    with pytest.raises(PanglotError, match=r"no part 'dev'.*choose one of test, train"):
        registry.read("mine:dev", data_dir=tmp_path)
    line = {"context": "One. Two.", "qas": [
        {"qid": "1", "question": "q?", "detected_answers": [{"text": "Two", "char_spans": [[5, 7]]}]}]}  # fmt: skip
    (tmp_path / "newsqa" / "train").mkdir(parents=True)
    (tmp_path / "newsqa" / "train" / "NewsQA.jsonl").write_text(json.dumps(line) + "\n")
    news = registry.read("newsqa@sentence", data_dir=tmp_path)
    assert (news.name, news.passages["text"].to_pylist()) == ("newsqa@sentence", ["One.", "Two."])


def test_every_entry_names_a_reader_that_is_there() -> None:
    for card in CARDS.values():
        module, _, function = card.reader.partition(":")
        assert callable(getattr(import_module(module), function)), card.name
        assert set(card.requires) <= CARDS.keys()
        assert bool(card.folder) != bool(card.shipped)
        assert bool(card.hub) == bool(card.hub_pattern) == bool(card.hub_path)
