"""Converting: what is written reads back, and unreadable lines are reported and set aside."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import pytrec_eval
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.cli.data import data
from panglot.data import convert
from panglot.data.collection import Collection, Text
from panglot.data.files import row_files, write_rejected
from panglot.data.formats import trec
from panglot.data.formats.trec import export_ids
from panglot.data.ingest import ingest
from panglot.datasets.registry import read
from panglot.evaluation.evaluate import evaluate

LANGUAGES = ("en", "de", "zh-Hant", "ar", "sr-Latn")
IDS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=5)
LETTERS = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t<>&"), min_size=1, max_size=12)
BODIES = LETTERS.filter(lambda text: bool(text.strip()))


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    """A random collection in which every question is judged."""
    sides: list[list[Text]] = []
    for _ in range(2):
        ids = draw(st.lists(IDS, min_size=1, max_size=5, unique=True))
        sides.append([Text(i, draw(st.sampled_from(LANGUAGES)), draw(IDS), draw(BODIES)) for i in ids])
    passages = st.sampled_from([text.id for text in sides[1]])
    judged = [
        (question.id, passage, draw(st.integers(-1, 3)))
        for question in sides[0]
        for passage in draw(st.lists(passages, min_size=1, max_size=3, unique=True))
    ]
    return Collection.build("any", sides[0], sides[1], judged, {"candidates": "passage"})


@st.composite
def grouped(draw: st.DrawFn) -> Collection:
    """A collection that rows can represent: one question and passage per language and group, all texts distinct."""
    questions: list[Text] = []
    passages: list[Text] = []
    qrels: list[tuple[str, str, int]] = []
    for number in range(draw(st.integers(1, 4))):
        spoken = [draw(st.lists(st.sampled_from(LANGUAGES), min_size=1, unique=True)) for _ in range(2)]
        mine = [Text(f"{x}:g{number}", x, f"g{number}", f"{draw(BODIES)}q{number}") for x in spoken[0]]
        theirs = [Text(f"{x}:g{number}", x, f"g{number}", f"{draw(BODIES)}p{number}") for x in spoken[1]]
        questions += mine
        passages += theirs
        qrels += [(q.id, p.id, 1) for q in mine for p in theirs]
    return Collection.build("rows", questions, passages, qrels, {"candidates": "passage"})


def contents(collection: Collection) -> tuple[object, ...]:
    """The content of a collection, independent of the order of its rows."""
    sides = [table.to_pylist() for table in (collection.questions, collection.passages)]
    judged = {
        (sides[0][row["question"]]["id"], sides[1][row["passage"]]["id"], row["relevance"])
        for row in collection.qrels.to_pylist()
    }
    return *({tuple(row.values()) for row in side} for side in sides), judged


def pairs_of_texts(collection: Collection) -> set[tuple[str, str, str, str]]:
    questions, passages = collection.questions.to_pylist(), collection.passages.to_pylist()
    return {
        (questions[q]["language"], questions[q]["text"], passages[p]["language"], passages[p]["text"])
        for q, p in zip(*(side.tolist() for side in collection.pairs), strict=True)
    }


@pytest.mark.parametrize("form", ["beir", "trec"])
@settings(max_examples=40)
@given(collection=collections())
def test_folders_give_back_everything(form: str, collection: Collection, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / form, ignore_errors=True)
    done = convert.write(collection, form, tmp_path / form)
    ids, passage_ids = export_ids(collection)
    # Questions get ids of their own if a passage has the id of one.
    renamed = ids != collection.questions["id"].to_pylist()
    assert bool(done.lost) == renamed
    assert set(ids).isdisjoint(passage_ids)
    expected = replace(collection, questions=collection.questions.set_column(0, "id", pa.array(ids, pa.string())))
    assert contents(read(tmp_path / form)) == contents(expected)


def test_the_beir_package_gets_the_figures_of_rows(tmp_path: Path) -> None:
    # In JSON lines, a question and its answer have one id. The package drops such hits.
    row = '{{"group": "{0}", "language": "en", "question": "where is {0}?", "passage": "{0} is there"}}\n'
    (tmp_path / "rows.jsonl").write_text("".join(row.format(name) for name in ("lake", "hill", "town")))
    collection = read(tmp_path / "rows.jsonl")
    assert set(collection.questions["id"].to_pylist()) & set(collection.passages["id"].to_pylist())
    done = convert.write(collection, "beir", tmp_path / "beir")
    assert done.lost == {"questions that got an id of their own, since a passage has theirs": 3}
    lines = [json.loads(line) for line in (tmp_path / "beir" / "queries.jsonl").read_text().splitlines()]
    judged: dict[str, dict[str, int]] = {}
    for line in (tmp_path / "beir" / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        question, passage, relevance = line.split("\t")
        judged.setdefault(question, {})[passage] = int(relevance)
    answers = {line["_id"]: {next(iter(judged[line["_id"]])): 1.0} for line in lines}
    # As EvaluateRetrieval.evaluate(…, ignore_identical_ids=True) of beir 2.2 does before it measures.
    kept = {q: {p: score for p, score in hits.items() if p != q} for q, hits in answers.items()}
    found = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut_10"}).evaluate(kept)
    assert [each["ndcg_cut_10"] for each in found.values()] == [1.0, 1.0, 1.0]


def test_a_folder_whose_texts_share_ids_says_so(tmp_path: Path) -> None:
    (tmp_path / "same" / "qrels").mkdir(parents=True)
    text = '{"_id": "a", "text": "lake", "language": "en"}\n'
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / "same" / name).write_text(text + text.replace('"a"', f'"{name}"'))
    (tmp_path / "same" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\ta\t1\n")
    lines: list[str] = []
    found = evaluate("bundled", tmp_path / "same", draws=0, progress=lines.append)
    assert lines[1].startswith("note: 1 questions have the id of a passage.")
    assert found.figures["datasets"]["same"]["equal_ids"] == 1


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
@settings(max_examples=40)
@given(collection=grouped())
def test_rows_give_back_groups(name: str, collection: Collection, tmp_path: Path) -> None:
    convert.write(collection, "parquet" if "parquet" in name else "jsonl", tmp_path / name)
    assert contents(read(tmp_path / name)) == contents(collection)


@settings(max_examples=60)
@given(collection=collections())
def test_untied_rows_keep_every_relevant_pair(collection: Collection, tmp_path: Path) -> None:
    if not collection.pairs[0].size:
        return
    convert.write(collection, "jsonl", tmp_path / "rows.jsonl", untie=True)
    found = read(tmp_path / "rows.jsonl")
    assert pairs_of_texts(found) == pairs_of_texts(collection)
    texts = [{(row["language"], row["text"]) for row in c.passages.to_pylist()} for c in (found, collection)]
    assert texts[0] == texts[1]


def test_what_rows_cannot_hold_is_refused(tmp_path: Path) -> None:
    texts = [Text("p1", "en", "p1", "one"), Text("p2", "en", "p2", "two")]
    both = [("q", "p1", 1), ("q", "p2", 1)]
    collection = Collection.build("two", [Text("q", "en", "q", "who?")], texts, both)
    with pytest.raises(PanglotError, match=r"1 groups do not fit.*'q'.*--untie"):
        convert.write(collection, "jsonl", tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()
    assert convert.write(collection, "jsonl", tmp_path / "rows.jsonl", untie=True).lost == {"questions untied": 1}
    with pytest.raises(PanglotError, match="choose one of beir"):
        convert.write(collection, "csv", tmp_path / "x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(PanglotError, match="did not write as beir"):
        convert.write(collection, "beir", tmp_path / "mine")
    assert (tmp_path / "mine" / "diary.txt").exists()
    blank = Collection.build("b", [Text("a\tb", "en", "q", "?")], texts, [("a\tb", "p1", 1)])
    with pytest.raises(PanglotError, match="holds a tab"):
        convert.write(blank, "beir", tmp_path / "beir")


def test_a_file_is_not_called_like_one_of_another_form(tmp_path: Path) -> None:
    collection = Collection.build("one", [Text("q", "en", "q", "?")], [Text("p", "en", "q", "x")], [("q", "p", 1)])
    for form, name in (("jsonl", "x.csv"), ("jsonl", "x.parquet"), ("parquet", "x.jsonl"), ("parquet", "x.parquet.gz")):
        with pytest.raises(PanglotError, match=f"must end with .{form}"):
            convert.write(collection, form, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_what_a_conversion_would_ignore_or_destroy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(GOOD % (i, i, i) for i in range(3)))
    for options, problem in (
        (["--to", "jsonl", "--split", "dev"], "--split does nothing"),
        (["--to", "beir", "--untie"], "--untie does nothing"),
        (["--to", "beir", "--seed", "1"], "--seed does nothing"),
        (["--to", "beir", "--rejected", "r.jsonl"], "--rejected does nothing"),
        (["--to", "beir", "--languages", "en,sw"], "no data set has text in sw"),
    ):
        done = CliRunner().invoke(data, ["convert", str(path), str(tmp_path / "jsonl"), *options])
        assert problem in str(done.exception), options
    done = CliRunner().invoke(data, ["convert", str(path), str(path), "--to", "jsonl", "--rows", "1"])
    assert "in the data that is read" in str(done.exception)
    assert len(path.read_text().splitlines()) == 3


def test_real_sets_through_every_form(data_dir: Path, tmp_path: Path) -> None:
    whole = read("xquad-r", data_dir=data_dir, languages=["zh", "tr"])
    for form in ("beir", "trec"):
        convert.write(whole, form, tmp_path / form)
        assert contents(read(tmp_path / form)) == contents(whole)


CLEF_TOPICS = """<top>
<num> C041 </num>
<DE-title> Pestizide in Babynahrung </DE-title>
<DE-desc> Berichte \xfcber Pestizide. </DE-desc>
</top>
"""
TREC_TOPICS = """<top>
<num> Number: C041
<title> Pesticides in baby food &amp; milk
<desc> Description:
Reports on pesticides.
</top>
"""
DOCUMENTS = """<DOC>
<DOCNO>SDA-1</DOCNO>
<TITLE>Babynahrung</TITLE>
<TEXT><P>Pestizide gefunden.</P> <P>Die Beh\xf6rde warnt.</P></TEXT>
</DOC>
<DOC><DOCNO>SDA-2</DOCNO><TEXT>Wetter</TEXT></DOC>
"""


def test_clef_collections(tmp_path: Path) -> None:
    (tmp_path / "documents" / "de").mkdir(parents=True)
    (tmp_path / "topics").mkdir()
    (tmp_path / "documents" / "de" / "sda.sgml.gz").write_bytes(gzip.compress(DOCUMENTS.encode("latin-1")))
    (tmp_path / "topics" / "top-de.txt").write_bytes(CLEF_TOPICS.encode("latin-1"))
    (tmp_path / "topics" / "en.txt").write_text(TREC_TOPICS)
    (tmp_path / "qrels.txt").write_text("C041 0 SDA-1 1\nC041 0 SDA-2 0\n")
    found = read(tmp_path)
    assert [tuple(row.values()) for row in found.questions.to_pylist()] == [
        ("en:C041", "en", "C041", "Pesticides in baby food & milk"),
        ("de:C041", "de", "C041", "Pestizide in Babynahrung"),
    ]
    assert found.passages["text"][0].as_py().split() == [
        "Babynahrung",
        "Pestizide",
        "gefunden.",
        "Die",
        "Behörde",
        "warnt.",
    ]
    assert found.passages["language"].to_pylist() == ["de", "de"]
    assert found.qrels["relevance"].to_pylist() == [1, 1, 0, 0]
    longer = trec.read(tmp_path, fields=("title", "desc"))
    assert longer.questions["text"][1].as_py() == "Pestizide in Babynahrung Berichte über Pestizide."
    (tmp_path / "qrels.txt").write_text("C041 0 SDA-9 1\n")
    with pytest.raises(PanglotError, match="document 'SDA-9' is not there"):
        read(tmp_path)


GOOD = '{"language": "en", "group": "g%d", "question": "q%d?", "passage": "p%d"}\n'


def test_one_broken_line_among_many(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    lines = [GOOD % (i, i, i) for i in range(5000)]
    lines[3210] = '{"language": "en", "question": "half\n'
    path.write_text("".join(lines))
    with pytest.raises(PanglotError, match=r"many.jsonl, line 3211: not JSON"):
        read(path)
    found, broken = ingest(path, on_error="skip")
    assert found.questions.num_rows == 4999
    assert [(one.line, one.text) for one in broken] == [(3211, lines[3210].strip())]
    done = CliRunner().invoke(data, ["convert", str(path), str(tmp_path / "out"), "--to", "beir", "--on-error", "skip"])
    assert done.exit_code == 0, done.output
    assert "1 rejected rows written to" in done.output
    assert read(tmp_path / "out").questions.num_rows == 4999
    aside = json.loads((tmp_path / "out.rejected.jsonl").read_text())
    assert aside["line"] == 3211
    assert aside["text"] == lines[3210].strip()


def test_truncated_gzip_and_mixed_encodings(tmp_path: Path) -> None:
    whole = gzip.compress("".join(GOOD % (i, i, i) for i in range(3000)).encode())
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    found, broken = ingest(cut, on_error="skip")
    assert 0 < found.questions.num_rows < 3000
    assert "cut short" in broken[-1].problem
    assert broken[-1].line in (found.questions.num_rows + 1, found.questions.num_rows + 2)
    mixed = tmp_path / "mixed.jsonl"
    wrong = '{"language": "fr", "question": "é?", "passage": "p"}\n'.encode("cp1252")
    mixed.write_bytes((GOOD % (1, 1, 1)).encode() + wrong)
    found, broken = ingest(mixed, on_error="skip")
    assert (found.questions.num_rows, broken[0].line) == (1, 2)
    assert "Windows-1252" in broken[0].hint
    assert "\\xe9" in broken[0].text


def test_lines_that_do_not_agree(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"id": "1", "language": "en", "group": "g", "question": "q", "passage": "p"},
        {"id": "1", "language": "de", "group": "g", "question": "f", "passage": "a"},
        {"language": "en", "group": "g", "passage": "another"},
        {"language": "en", "group": "h", "question": "alone?"},
        {"language": "xx", "question": "q", "passage": "p"},
        {"language": "en", "question": [5], "passage": "p"},
        ["a list"],
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, broken = ingest(path, on_error="skip")
    assert found.questions["text"].to_pylist() == ["q"]
    assert [(one.line, one.field) for one in broken] == [
        (2, "id"), (3, "passage"), (4, "passage"), (5, "language"), (6, "question"), (7, ""),
    ]  # fmt: skip
    assert write_rejected(broken, tmp_path / "rejected.jsonl") == 6
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 6


values = st.one_of(st.none(), st.sampled_from(["en", "de", "nope", "g", "", " ", "x"]), st.integers(0, 2))
objects = st.dictionaries(st.sampled_from(["language", "group", "question", "passage", "id"]), values, max_size=5)


@settings(max_examples=150)
@given(rows=st.lists(objects, min_size=1, max_size=6))
def test_what_stays_is_always_a_collection(rows: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, broken = ingest(path, on_error="skip")
    assert len({error.line for error in broken}) == len(broken) <= len(rows)
    wrong = {error.line for error in broken}
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for number, line in enumerate(lines, 1) if number not in wrong))
    if found.questions.num_rows:
        assert ingest(path).collection.digest == found.digest


def test_no_folder_is_replaced_that_others_wrote(tmp_path: Path) -> None:
    """A publisher's folder has the files that panglot writes too, and perhaps more."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(GOOD % (i, i, i) for i in range(3)))

    def run(form: str, place: Path) -> str:
        done = CliRunner().invoke(data, ["convert", str(rows), str(place), "--to", form])
        return str(done.exception or "")

    for form, mark in (("beir", "corpus.jsonl"), ("trec", "qrels.txt"), ("arrow", "collection.json")):
        theirs = tmp_path / f"their-{form}"
        theirs.mkdir()
        (theirs / mark).write_text("{}")
        assert f"did not write as {form}" in run(form, theirs)
        assert (theirs / mark).read_text() == "{}"
        # What panglot wrote in the same format is replaced.
        for _ in range(2):
            assert run(form, tmp_path / form) == ""
        assert read(tmp_path / form).questions.num_rows == 3
        with pytest.raises(PanglotError, match="did not write as"):
            convert.check_folder(tmp_path / form, "trec" if form == "beir" else "beir")


def test_nothing_that_is_read_is_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    for at, name in enumerate(("a", "b")):
        (folder / f"{name}.jsonl").write_text("".join(GOOD % (i, i, i) for i in range(3 * at, 3 * at + 3)))
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "same.jsonl").symlink_to(folder / "a.jsonl")
    (folder / "a.jsonl").open("a").write("broken\n")
    files = {path: path.read_bytes() for path in folder.iterdir()}
    inside, skip, rejected = folder / "a.jsonl", ["--on-error", "skip"], str(folder / "b.jsonl")
    for command in (
        ["convert", folder, inside, "--to", "jsonl"],
        ["convert", folder, tmp_path / "link" / "new.jsonl", "--to", "jsonl"],
        ["convert", folder, tmp_path / "same.jsonl", "--to", "jsonl"],
        ["convert", folder, folder / "new", "--to", "beir"],
        ["convert", folder, tmp_path / "out.jsonl", "--to", "jsonl", *skip, "--rejected", rejected],
        ["check", folder, *skip, "--rejected", rejected],
        ["from-docs", folder, "--output", inside],
        ["from-docs", inside, "--output", inside],
    ):
        done = CliRunner().invoke(data, [str(each) for each in command])
        assert "in the data that is read" in str(done.exception), command
    # Rejected rows lie beside a file by default, and are no part of its folder.
    for command in (["check", inside, *skip], ["check", f"{folder}/", *skip]):
        assert CliRunner().invoke(data, [str(each) for each in command]).exit_code == 0
    places = [folder / "a.jsonl.rejected.jsonl", tmp_path / "two.rejected.jsonl"]
    assert all(path.is_file() for path in places)
    assert row_files(folder) == [inside, folder / "b.jsonl"]
    places[0].unlink()
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
