"""The diagnosis of an index: what is wrong, what helps, what it costs, and the code to paste."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from search_made import LANGUAGES, TOPICS, Biased, use_memory

from panglot._errors import PanglotError
from panglot.cli.diagnose import diagnose_command
from panglot.cli.index import index_command
from panglot.debiasing import correction
from panglot.report.diagnosis_page import diagnosis_page, findings, headline
from panglot.search.audit import AuditQuery, audit_bias
from panglot.search.diagnosis import Diagnosis, best_trial, diagnose
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.search.integrations.snippets import Snippet, snippets
from panglot.search.queries import sample_queries

TRIALS = ["plain", "centered", "balanced", "centered, half", "balanced, half", "lsar", "leace"]


def documents(languages: Sequence[str] = LANGUAGES, *, grouped: bool = True, own: bool = True) -> list[Document]:
    """Each topic in each language. Title and text share the topic and differ in words of their ``own``."""
    return [
        Document(
            f"{topic}-{code}",
            f"<{code}> about {topic} {topic}-{code}" if own else f"<{code}> about {topic}",
            f"<{code}> {topic} title-{code}" if own else f"<{code}> {topic}",
            code,
            topic if grouped else "",
        )
        for topic in TOPICS
        for code in languages
    ]


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_memory(monkeypatch)
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))


def built(tmp_path: Path, bias: float = 1.6, name: str = "index", **options: Any) -> Index:
    given = options.pop("documents", None) or documents()
    return Index.build(given, tmp_path / name, model=Biased(bias), **options)


def diagnosed(index: Index, queries: Sequence[AuditQuery] | None = None) -> Diagnosis:
    return diagnose(index, queries if queries is not None else sample_queries(index.documents(), 12))


def test_a_biased_index_is_diagnosed_and_a_mode_is_recommended(tmp_path: Path) -> None:
    index = built(tmp_path)
    found = diagnosed(index).figures
    assert list(found["trials"]) == TRIALS
    assert (found["given"], found["not_tried"]) == (False, [])
    assert found["best"] not in {None, "plain"}
    plain, best = found["trials"]["plain"], found["trials"][found["best"]]
    assert plain["self_preference@10"] == pytest.approx(4.0)
    assert best["self_preference@10"] < 2
    assert best["translation_found@10"] > 0.9 > plain["translation_found@10"]
    assert plain["within_language"]["difference"] is None
    low, high = best["within_language"]["difference"]["interval"]
    assert low <= best["within_language"]["difference"]["MRR"] <= high
    json.dumps(found, allow_nan=False)
    # The modes have the figures of the audit.
    audit = audit_bias(index, sample_queries(index.documents(), 12))
    for mode, figures in audit["modes"].items():
        assert figures.items() <= found["trials"][mode].items()


def test_a_stray_document_of_another_language_stops_no_correction(tmp_path: Path) -> None:
    stray = Document("todo", "<gl> fix", language="gl")
    found = diagnosed(built(tmp_path, documents=[*documents(), stray])).figures
    assert (list(found["trials"]), found["not_tried"]) == (TRIALS, [])


def test_the_cost_is_the_rank_of_the_own_document_without_title_and_query(tmp_path: Path) -> None:
    index = built(tmp_path)
    encoder, rank, pooled = Biased(), dict[str, list[int]](), list[int]()
    queries = sample_queries(index.documents(), 12)
    everything = encoder.encode([each.full_text for each in documents()], "passage")
    for query in queries:
        target = next(each.text for each in documents() if each.id == query.source)
        vector = encoder.encode([query.text], "question")[0]
        own = encoder.encode([target], "passage")[0] @ vector
        above = [each for each, score in zip(documents(), everything @ vector, strict=True) if score > own]
        above = [each for each in above if each.id not in query.versions]
        pooled.append(1 + len(above))
        rank.setdefault(query.language, []).append(1 + sum(each.language == query.language for each in above))
    plain = diagnosed(index).figures["trials"]["plain"]
    within = plain["within_language"]
    assert within["R@1"] == pytest.approx(np.mean([np.mean(np.equal(each, 1)) for each in rank.values()]))
    assert within["MRR"] == pytest.approx(np.mean([np.mean(1 / np.array(each)) for each in rank.values()]))
    assert plain["own_found@10"] == pytest.approx(np.mean(np.array(pooled) <= 10))
    assert 0 < within["R@1"] < 1
    assert within["by_language"]["de"]["queries"] == 12


def test_what_is_left_of_a_document_without_its_query_decides(tmp_path: Path) -> None:
    given = [
        Document(f"{topic}-{code}", f"<{code}> {topic}. Then {topic}-more.", "", code, topic)
        for topic in TOPICS
        for code in LANGUAGES
    ]
    given += [
        Document("bare", "<de> topic99.", "", "de", "topic99"),
        Document("lean", "<en> topic99.", "", "en", "topic99"),
    ]
    index = built(tmp_path, documents=given)
    queries = [each for each in sample_queries(index.documents(), 99) if each.group in {"gtopic3", "gtopic99"}]
    found = diagnosed(index, queries).figures
    assert found["not_measured_within"] == 2
    assert {
        code: each["queries"] for code, each in found["trials"]["plain"]["within_language"]["by_language"].items()
    } == (dict.fromkeys(LANGUAGES, 1))
    seen = Biased().encode(["Then topic3-more."], "passage")
    encoder: Any = index.encoder
    assert "Then topic3-more." in encoder.seen
    assert len(seen) == 1


def test_a_correction_ranks_as_an_index_that_is_built_with_it(tmp_path: Path) -> None:
    queries = sample_queries(iter([documents()]), 12)
    found = diagnosed(built(tmp_path), queries).figures["trials"]
    half = audit_bias(built(tmp_path, name="half", center_strength=0.5), queries)["modes"]
    for mode in ("centered", "balanced"):
        expected = half[mode]
        got = found[f"{mode}, half"]
        assert got["self_preference@10"] == pytest.approx(expected["self_preference@10"])
        assert got["translation_found@10"] == pytest.approx(expected["translation_found@10"])
        assert got["rank_correlation"] == pytest.approx(expected["rank_correlation"], abs=1e-3)
    for method in ("lsar", "leace"):
        assert found[method]["self_preference@10"] < 2 < found["plain"]["self_preference@10"]


def test_an_index_without_bias_needs_nothing(tmp_path: Path) -> None:
    found = diagnosed(built(tmp_path, bias=0.0, documents=documents(own=False)))
    assert (found.figures["best"], found.figures["fair"], found.debiasing) == (None, True, None)
    assert headline(found.figures) == "The results do not favour the language of the query"
    said = findings(found.figures)
    assert "nothing needs to be corrected" in said["wrong"][0]
    assert not said["helps"]
    assert all(each["after"] is None for each in found.figures["examples"])
    assert "Code to paste" not in diagnosis_page(found.figures, [], "panglot diagnose x")


def test_a_correction_is_recommended_only_if_it_finds_more_at_no_higher_cost() -> None:
    def figures(preference: float, found: float, mrr: float, *, corrected: bool) -> Any:
        return {
            "self_preference@10": preference,
            "translation_found@10": found,
            "within_language": {"MRR": mrr},
            "corrected": corrected,
        }

    trials = {"plain": figures(4, 0.3, 0.8, corrected=False), "balanced": figures(1.5, 0.6, 0.79, corrected=False)}
    assert best_trial(trials) == "balanced"
    assert best_trial({**trials, "leace": figures(1.1, 0.9, 0.79, corrected=True)}) == "leace"
    assert best_trial({**trials, "leace": figures(1.1, 0.9, 0.7, corrected=True)}) == "balanced"
    assert best_trial({**trials, "leace": figures(1.6, 0.62, 0.8, corrected=True)}) == "balanced"
    assert best_trial({"plain": figures(1.1, 0.9, 0.8, corrected=False), "balanced": trials["balanced"]}) is None
    assert best_trial({"plain": trials["plain"], "lsar": figures(2, 0.2, 0.8, corrected=True)}) == "lsar"


def test_examples_are_typical_and_one_is_the_worst(tmp_path: Path) -> None:
    index = built(tmp_path)
    found = diagnosed(index).figures
    typical = [each for each in found["examples"] if each["kind"] == "typical"]
    # The language that is preferred most comes first.
    preference = found["trials"]["plain"]["self_preference@10_by_language"]
    assert preference[found["worst"]] == max(preference.values())
    # Each language has its turn.
    assert [each["language"] for each in typical] == list(dict.fromkeys([found["worst"], *index.counts()]))
    for each in typical:
        assert {hit["language"] for hit in each["before"]} == {each["language"]}
        assert len({hit["language"] for hit in each["after"]}) > 1
        assert any(hit["version"] for hit in each["after"])
    topics = [each["query"].split()[1] for each in typical]
    assert all(hit["id"].startswith(f"{topic}-") for each, topic in zip(typical, topics, strict=True)
               for hit in each["after"] if hit["version"])  # fmt: skip


def test_a_language_without_translations_is_asked_and_shown(tmp_path: Path) -> None:
    given = [each if each.language != "sw" else replace(each, group="") for each in documents()]
    found = diagnosed(built(tmp_path, documents=given)).figures
    assert found["languages"] == sorted(LANGUAGES)
    assert "sw" in {each["language"] for each in found["examples"]}
    assert found["untranslated"] == ["sw"]
    assert "a translation (`group`): Swahili." in " ".join(findings(found)["limits"])


def test_it_says_what_it_does_not_show(tmp_path: Path) -> None:
    plain = diagnosed(built(tmp_path, documents=documents(grouped=False))).figures
    limits = " ".join(findings(plain)["limits"])
    assert "do not say which of them are translations" in limits
    assert "Give their queries with `--queries`" in limits
    single = diagnosed(built(tmp_path, name="one", documents=documents(["de"]))).figures
    assert single["best"] is None
    assert [each["what"] for each in single["not_tried"]] == ["corrections"]
    assert headline(single) == "All documents are in German, so no language can be preferred"
    assert "translations" not in " ".join(findings(single)["limits"])
    pair = [each for each in documents(["de", "sw"]) if each.group == TOPICS[0]]
    few = diagnosed(built(tmp_path, name="few", documents=pair)).figures
    assert findings(few)["wrong"][0].startswith("There are too few documents")
    given = [AuditQuery("1", "de", "<de> topic3", {}), AuditQuery("1", "sw", "<sw> topic3", {})]
    asked = diagnosed(Index.open(tmp_path / "index", model=Biased()), given).figures
    assert "not measured" in findings(asked)["costs"][0]
    assert "Give their queries" not in " ".join(findings(asked)["limits"])
    unknown = diagnosed(Index.open(tmp_path / "index", model=Biased()), [AuditQuery("1", "fi", "topic3", {})]).figures
    assert unknown["best"] is None
    assert findings(unknown)["wrong"][0].startswith("No query is in a language of the documents")


def test_a_loss_is_not_shown_as_a_gain() -> None:
    found = sample(plain=0.9, balanced=0.8)
    assert "But only 80% of the translations are among the first 10, instead of 90%." in findings(found)["helps"]
    assert "95% of the translations" in " ".join(findings(sample(plain=0.9, balanced=0.95))["helps"])
    assert "But only" not in " ".join(findings(sample(plain=0.9, balanced=0.95))["helps"])


def test_queries_of_one_group_say_nothing_about_chance() -> None:
    found = sample(plain=0.9, balanced=0.95)
    within = found["trials"]["balanced"]["within_language"]
    within["difference"] = {"MRR": -0.02, "interval": [-0.03, -0.01]}
    assert "changes by −.020 [−.030, −.010], more than chance explains." in findings(found)["costs"][1]
    within["difference"] = {"MRR": -0.02, "interval": None}
    assert findings(found)["costs"][1] == "The mean reciprocal rank changes by −.020."


def test_shares_are_not_rounded_to_none_or_all() -> None:
    found = sample(plain=0.004, balanced=0.996)
    found["trials"]["plain"]["language_share@10"]["de"]["de"] = 0.998
    assert headline(found).startswith("Queries in German: 99.8% of the first 10 results were in German")
    assert "99.6% of the translations are among the first 10, instead of 0.4%." in findings(found)["helps"]


def sample(**shares: float) -> dict[str, Any]:
    """Return a diagnosis that recommends `balanced`, with these shares of translations found."""
    trials = {
        name: {
            "self_preference@10": own, "language_share@10": {"de": {"de": own / 4}},
            "translation_found@10": shares[name], "corrected": False, "pool_share": {"de": 0.25}, "own_found@10": 0.9,
            "within_language": {"R@1": 0.7, "difference": {"MRR": 0.0, "interval": [-0.1, 0.1]}},
        }
        for name, own in (("plain", 3.0), ("balanced", 1.0))
    }  # fmt: skip
    return {
        "pool": {"de": 10, "en": 30}, "languages": ["de"], "given": False, "with_translations": 9, "untranslated": [],
        "groups": 40, "not_measured_within": 0, "not_tried": [], "trials": trials, "best": "balanced", "worst": "de",
        "fair": True,
    }  # fmt: skip


def pieces(index: Index, tmp_path: Path, best: str) -> dict[str, Snippet]:
    correction.save(index.debiasing, tmp_path, {})
    made = snippets(best, index.folder, tmp_path, model="bundled", strength=1.0, output=tmp_path / "corrected")
    return {each.title: each for each in made}


def run(snippet: Snippet, **names: Any) -> dict[str, Any]:
    exec(compile(snippet.code, snippet.title, "exec"), names)
    return names


def test_the_code_for_a_store_ranks_as_the_mode_does(tmp_path: Path) -> None:
    index = built(tmp_path)
    code = pieces(index, tmp_path, "balanced")
    debias = run(code["Your own vector store"])["debias"]
    balanced = run(code["Your own vector store: balanced"])["balanced"]
    plain = {each.id: index.store.vectors("plain", [each.id])[0] for each in documents()}
    changed = {each.id: debias(plain[each.id], each.language, "document") for each in documents()}
    query = debias(index.encode(["<de> topic3"])[0], "de", "query")

    def search(vector: Any, language: str, k: int) -> list[tuple[float, str]]:
        ids = [each.id for each in documents() if each.language == language]
        return sorted(((float(changed[name] @ vector), name) for name in ids), reverse=True)[:k]

    answer = index.search("<de> topic3", language="de", mode="balanced")
    assert [name for _, name in balanced(search, query, LANGUAGES)] == [hit.document.id for hit in answer.hits]


@pytest.mark.parametrize("method", ["lsar", "leace"])
def test_the_code_of_a_linear_correction_is_the_correction(tmp_path: Path, method: Any) -> None:
    from panglot.debiasing.fit import Sample, fit

    index = built(tmp_path)
    by_language = {
        code: Sample(index.store.vectors("plain", ids := [f"{topic}-{code}" for topic in TOPICS]), tuple(ids))
        for code in LANGUAGES
    }
    debiasing = fit({"passage": by_language}, method)
    correction.save(debiasing, tmp_path, {})
    made = snippets(method, index.folder, tmp_path, model="bundled", strength=1.0, output=tmp_path / "x")
    debias = run(next(each for each in made if each.title == "Your own vector store"))["debias"]
    vector = index.encode(["<de> topic3"])
    assert debias(vector[0]) == pytest.approx(debiasing.apply(vector, ["de"], "question")[0], abs=1e-5)
    assert {each.title for each in made if "index, mode=" in each.code} == {"LangChain", "LlamaIndex", "Haystack"}


@pytest.mark.parametrize(("title", "package", "name"), [
    ("LangChain", "langchain_core", "documents"),
    ("LlamaIndex", "llama_index.core", "nodes"),
    ("Haystack", "haystack", "documents"),
])  # fmt: skip
def test_the_code_for_a_framework_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str, package: str, name: str
) -> None:
    pytest.importorskip(package)
    import panglot

    index = built(tmp_path)
    code = pieces(index, tmp_path, "balanced")[title]
    monkeypatch.setattr(panglot.Index, "open", lambda folder: {str(index.folder): index}[folder])
    found = run(code)[name]
    expected = index.search("your query", mode="balanced").hits
    ids = [getattr(each, "id", None) or each.node.node_id for each in found]
    assert ids == [hit.document.id for hit in expected]


def test_a_correction_at_indexing_names_the_commands(tmp_path: Path) -> None:
    place = tmp_path / 'MODE "INDEX" of it\'s'
    index = built(tmp_path, name=place.name)
    options: Any = {"output": tmp_path / "x", "strength": 0.25}
    made = snippets("centered, half", index.folder, tmp_path, model="m", **options)
    indexed, searched, served = (shlex.split(line, comments=True) for line in made[0].code.splitlines())
    assert indexed == [
        *("panglot", "index", str(place), "--output", str(tmp_path / "x")),
        *("--model", "m", "--center-strength", "0.25"),
    ]
    assert searched == ["panglot", "search", str(tmp_path / "x"), "your query", "--mode", "centered"]
    assert served == ["panglot", "serve", str(tmp_path / "x"), "--mode", "centered"]
    assert str(tmp_path / "x") in next(each.code for each in made if each.title == "LangChain")
    for model, named in (("panglot-small", False), ("bundled", True)):
        made = snippets("balanced, half", index.folder, tmp_path, model=model, **options)
        assert ("--model" in made[0].code) == named
    # A path may hold what templates have in it.
    for best in ("balanced", "leace"):
        for each in snippets(best, place, place, model="INDEX", moved="it's MODEL", **options):
            if each.language == "python":
                compile(each.code, each.title, "exec")
                if "Index.open" in each.code:
                    assert f'panglot.Index.open({json.dumps(str(place))}, model="it\'s MODEL")' in each.code
            elif best == "balanced":
                assert all(shlex.split(line, comments=True)[-2:] == ["--model", "it's MODEL"]
                           for line in each.code.splitlines())  # fmt: skip


def test_a_fair_mode_that_finds_no_translation_is_told_to_train(tmp_path: Path) -> None:
    found = diagnosed(built(tmp_path)).figures
    after = found["trials"][found["best"]]

    def is_told() -> bool:
        return any("panglot train" in line for line in findings(found)["helps"])

    found["fair"], after["translation_found@10"] = True, 1.0
    assert not is_told()
    after["translation_found@10"] = 0.0
    assert is_told()


@pytest.mark.parametrize("best", ["balanced, half", "leace"])
@pytest.mark.usefixtures("bundled")
def test_the_index_that_is_pasted_has_the_documents_as_they_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, best: str
) -> None:
    import panglot

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("panglot.search.diagnosis.best_trial", lambda _: best)
    monkeypatch.setattr(panglot, "load", lambda _: Biased())
    rows = ({"nr": d.id, "body": d.text, "lang": d.language if d.language != "sw" else ""} for d in documents())
    Path("my docs.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    given = ("--column", "id=nr,text=body,language=lang", "--language", "sw", "--output", "d")
    code = json.loads(called("my docs.jsonl", *given, "--json", "-").stdout)["code"][0]
    if code["language"] == "sh":
        command = shlex.split(code["code"].splitlines()[0], comments=True)
        assert CliRunner().invoke(index_command, command[2:], catch_exceptions=False).exit_code == 0
        assert "built from these documents already" in CliRunner().invoke(index_command, command[2:]).stderr
    else:
        run(Snippet(**code))
    first, second = (Index.open(f"d/{name}", model=Biased()) for name in ("index", "corrected"))
    both = [{each.id: each for piece in index.documents() for each in piece} for index in (first, second)]
    assert both[0] == both[1]
    assert {each.language for each in both[0].values()} == {*LANGUAGES}
    if code["language"] == "sh":
        assert second.debiasing.strength == first.debiasing.strength / 2


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line's default model be the small biased one."""
    encoder = Biased()
    for name in ("panglot.search.index", "panglot.search.ingest.build"):
        monkeypatch.setattr(f"{name}.open_encoder", lambda *_, **_options: (encoder, encoder, "bundled"))


def called(*arguments: object) -> Any:
    return CliRunner().invoke(diagnose_command, [str(each) for each in arguments], catch_exceptions=False)


@pytest.mark.usefixtures("bundled")
def test_the_command_indexes_once_and_writes_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = (
        {"id": d.id, "text": d.text, "title": d.title, "language": d.language, "group": d.group} for d in documents()
    )
    Path("help.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    done = called("help.jsonl")
    folder = tmp_path / "help-diagnosis"
    assert done.exit_code == 0
    assert done.stdout.startswith("Queries in ")
    for part in ("What is wrong", "What helps", "What it costs within a language", "Code to paste", "report.html"):
        assert part in done.stdout
    page = (folder / "report.html").read_text("utf-8")
    for part in (
        "More rankings before and after",
        "LangChain",
        "LlamaIndex",
        "Haystack",
        "title-de",
        "debiasing.safetensors",
    ):
        assert part in page
    assert "<code>--queries</code>" in page
    written = (folder / "index" / "index.json").stat().st_mtime_ns
    again = json.loads(called("help.jsonl", "--json", "-").stdout)
    assert (folder / "index" / "index.json").stat().st_mtime_ns == written
    assert again["best"] in TRIALS[1:]
    assert [each["title"] for each in again["code"]][-1] == "Haystack"
    # The index that was made can be named itself.
    direct = json.loads(called(folder / "index", "--output", tmp_path / "other", "--json", "-").stdout)
    assert direct["trials"] == again["trials"]
    assert (tmp_path / "other" / "debiasing.json").is_file()
    for option in (("--language", "de"), ("--data-dir", tmp_path)):
        with pytest.raises(PanglotError, match=f"{option[0]} does nothing for an index, which has its documents"):
            called(folder / "index", *option)
    # Documents that have changed since are brought up to date.
    lines = Path("help.jsonl").read_text("utf-8").splitlines()
    more = json.dumps({"id": "new", "text": "another", "language": "en"})
    Path("help.jsonl").write_text("\n".join([*lines[1:], more]), "utf-8")
    assert f"{Path('help-diagnosis/index')} is of an earlier call; 1 added, 1 deleted" in called("help.jsonl").stderr
    assert "an earlier call; nothing changed" in called("help.jsonl").stderr
    assert len(Index.open(folder / "index", model=Biased())) == len(lines)


@pytest.mark.usefixtures("bundled")
def test_a_diagnosis_replaces_nothing_but_an_earlier_one_of_the_same_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"id": d.id, "text": d.text, "language": d.language, "group": d.group}) for d in documents()]
    for name, chosen in (("a", rows[:60]), ("b", rows[60:])):
        Path(name).mkdir()
        Path(name, "docs.jsonl").write_text("\n".join(chosen), "utf-8")
    assert called("a/docs.jsonl").exit_code == 0
    index = tmp_path / "docs-diagnosis" / "index"
    own = {path.name: path.read_bytes() for path in index.iterdir() if path.is_file()}
    # An index has a correction of its own under the names of that of the diagnosis, and so has a debiased model.
    Path("model").mkdir()
    Path("model", "debiasing.json").write_text('{"method": "center"}', "utf-8")
    for source, output in ((index, index), ("b/docs.jsonl", index), (index, "model")):
        with pytest.raises(PanglotError, match="own correction would be replaced"):
            called(source, "--output", output)
    # Other documents of the same name would take the place of these in the index.
    with pytest.raises(PanglotError, match=r"the diagnosis of \.\./a/docs\.jsonl, and \.\./b/docs\.jsonl is named"):
        called("b/docs.jsonl")
    assert {path.name: path.read_bytes() for path in index.iterdir() if path.is_file()} == own
    assert Path("model", "debiasing.json").read_text("utf-8") == '{"method": "center"}'
    assert called(tmp_path / "a" / "docs.jsonl").exit_code == 0
    assert called("b/docs.jsonl", "--output", "docs-diagnosis").exit_code == 0
    assert called("b/docs.jsonl").exit_code == 0
    assert len(Index.open(index, model=Biased())) == len(rows) - 60
