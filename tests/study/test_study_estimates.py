"""What a study makes of its sets, its trials and its finished cells, worked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from study_made import KEY, put

from panglot._errors import PanglotError
from panglot._files import write_json
from panglot.data.collection import Collection
from panglot.study import design
from panglot.study.cell import cell_folder, cell_key, check
from panglot.study.data import SourceDigest, StudyData, prepare
from panglot.study.design import Study
from panglot.study.endpoints import smallest_difference
from panglot.study.estimates import Estimate, Results, SeedFigures, difference, t_test
from panglot.study.report import to_markdown
from panglot.study.worker import best_rate, choose_rate, status_of

TEXT = """
output = "{folder}/out"
on = ["{folder}/train.jsonl"]
sizes = ["all"]
seeds = [0, 1, 2]
focus = "hybrid"
rival = "mean"
[strategies.hybrid]
batches = "hybrid"
[strategies.mean]
mixing = "mean"
[rates]
grid = [1e-5, 2e-5, 5e-5]
dev_share = 0.25
[[tests]]
on = "{test}"
"""


def made(folder: Path, test: str = "starter:test") -> Study:
    (folder / "study.toml").write_text(TEXT.format(folder=folder, test=test), "utf-8")
    return design.read(folder / "study.toml")


def pairs(file: Path, questions: Iterable[str]) -> None:
    """Write pairs in two languages, each question in a group of its own."""
    lines = [
        {"group": each, "language": x, "question": f"{each}, {x}?", "passage": f"That is how {each} does it in {x}."}
        for each in questions
        for x in ("de", "en")
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def test_no_cell_trains_on_test_texts_or_on_held_out_rows(tmp_path: Path) -> None:
    birds = ["auk", "bittern", "crane", "dunnock", "egret", "finch", "gull", "heron", "ibis"]
    pairs(tmp_path / "train.jsonl", birds)
    pairs(tmp_path / "test.jsonl", ["ibis"])
    found = prepare(made(tmp_path, str(tmp_path / "test.jsonl")), None)
    trained, held = (
        set(Collection.open(folder).questions["text"].to_pylist()) for folder in (found.training[0], found.dev)
    )
    assert len(trained) == 2 * 6
    assert len(held) == 2 * 2
    assert trained | held == {f"{each}, {x}?" for each in birds[:-1] for x in ("de", "en")}


@pytest.mark.parametrize("which", ["train", "test"])
def test_data_of_files_that_changed_are_refused(tmp_path: Path, which: str) -> None:
    birds = ["auk", "bittern", "crane", "dunnock", "egret", "finch", "gull", "heron"]
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "test")}
    pairs(files["train"], birds)
    pairs(files["test"], ["ibis"])
    study = made(tmp_path, str(files["test"]))
    found = prepare(study, None)
    assert [source.name for source in found.sources] == [str(files[name]) for name in ("test", "train")]
    before = files[which].read_bytes()
    files[which].write_bytes(before + b"\n")  # the same texts in other files
    assert prepare(study, None) == found

    pairs(files[which], ["kestrel"])
    about = next(study.output.glob("data/*/material.json"))
    with pytest.raises(PanglotError, match=f"{which}.jsonl has changed since the data") as caught:
        prepare(study, None)
    assert caught.value.file == about
    assert str(about.parent) in str(caught.value.hint)
    files[which].write_bytes(before)
    assert prepare(study, None) == found
    files[which].unlink()  # the study has its own copy
    assert prepare(study, None) == found

    # Data of earlier versions do not say what they were made from.
    pairs(files[which], ["kestrel"])
    write_json(
        about, {name: value for name, value in json.loads(about.read_text("utf-8")).items() if name != "sources"}
    )
    assert prepare(study, None) == replace(found, sources=())


def test_cells_made_from_other_data_are_refused(tmp_path: Path) -> None:
    study = made(tmp_path)
    put(study, {"start": [0.5, 0.6], "hybrid-all-0": [0.5, 0.6], "mean-all-0": [0.5, 0.6]})
    now = (SourceDigest("a", "files", "texts"), SourceDigest("b", None, "texts"))
    data = StudyData("key", (), Path("dev"), {}, {0: ("de", "en")}, now)
    start = study.cells()[0]

    def record(cell: str, sources: Sequence[SourceDigest] | None) -> None:
        file = study.output / "cells" / cell / "cell.json"
        about = {**json.loads(file.read_text("utf-8")), "material": "key", "key": cell_key(study, start, data, None)}
        stated = {} if sources is None else {"sources": list(map(asdict, sources))}
        write_json(file, {name: value for name, value in about.items() if name != "sources"} | stated)

    others = [(now[0], SourceDigest("b", None, "others")), (SourceDigest("a", "others", "others"), now[1])]
    same = [None, now, (SourceDigest("a", "files", "others"), now[1]), (SourceDigest("a", "others", "texts"), now[1])]
    for sources, fits in [*((each, True) for each in same), *((each, False) for each in others)]:
        for cell in ("start", "mean-all-0"):
            record(cell, sources)
        record("hybrid-all-0", now)
        check(study, start, replace(data, sources=()), None)
        if fits:
            check(study, start, data, None)
            Results(study)
            continue
        with pytest.raises(PanglotError, match=r"made from another [ab] than the study has now") as caught:
            check(study, start, data, None)
        assert caught.value.file == study.output / "cells" / "start"
        assert caught.value.hint
        with pytest.raises(PanglotError, match="measured on different data"):
            Results(study)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [('sizes = ["all"]', "sizes = [3]", "sizes"), ("dev_share = 0.25", "dev_share = 0.25\nsize = 3", "rates.size")],
)
def test_a_size_above_the_number_of_languages_is_told(tmp_path: Path, old: str, new: str, field: str) -> None:
    pairs(tmp_path / "train.jsonl", ["auk", "bittern", "crane", "dunnock", "egret"])
    pairs(tmp_path / "test.jsonl", ["ibis"])
    file = made(tmp_path, str(tmp_path / "test.jsonl")).file
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(PanglotError, match=r'there are 2 languages.*give a smaller size, or "all"') as caught:
        prepare(design.read(file), None)
    assert (caught.value.file, caught.value.field) == (file, field)


def test_each_strategy_has_the_rate_that_its_own_trials_call_best(tmp_path: Path) -> None:
    study = made(tmp_path)
    scores = {"hybrid": {1e-5: 0.6, 2e-5: 0.7, 5e-5: 0.5}, "mean": {1e-5: 0.4, 2e-5: 0.5, 5e-5: 0.8}}
    for cell in study.trials():
        assert cell.rate is not None
        dev = dict.fromkeys(("monolingual", "crosslingual", "multilingual"), scores[cell.strategy][cell.rate])
        write_json(cell_folder(study, cell).path / "cell.json", {"training": {"dev": dev}})
    assert best_rate(study, "hybrid", 0) == 2e-5
    assert best_rate(study, "mean", 0) == 5e-5


def test_the_rate_is_the_smallest_within_one_standard_error_of_the_best() -> None:
    """The variance within each rate is 2 · 10⁻⁴, so that of a mean of two seeds is 10⁻⁴ and its standard error .01."""
    scores = {1e-5: [0.695, 0.715], 2e-5: [0.70, 0.72], 5e-5: [0.60, 0.62]}
    assert choose_rate(scores) == 1e-5
    assert choose_rate({**scores, 1e-5: [0.67, 0.69]}) == 2e-5


def test_an_interval_is_over_seeds_too(tmp_path: Path) -> None:
    """All groups of a seed are alike, so the interval is over the seeds alone.

    The mean of three seeds drawn from three is thrice the same seed with a probability of 1/27 > .025. Deviations are
    stretched by √(3/2), because the variance of means of drawn seeds is a third too small.
    """
    study = made(tmp_path)
    put(study, {"start": [1.0] * 4, **{f"hybrid-all-{seed}": [0.4 + 0.1 * seed] * 4 for seed in range(3)}})
    found = Results(study).estimate("hybrid", 0, KEY)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    reach = 0.1 * (3 / 2) ** 0.5
    assert found.interval == pytest.approx((0.5 - reach, 0.5 + reach))


def test_a_difference_is_tested_by_its_variance_over_seeds(tmp_path: Path) -> None:
    """Differences of .1, .2 and .3 have a standard error of .1 / √3: t = 2 √3 with 2 degrees of freedom."""
    study = made(tmp_path)
    values = {f"mean-all-{seed}": [0.4] * 4 for seed in range(3)}
    values |= {f"hybrid-all-{seed}": [0.5 + 0.1 * seed] * 4 for seed in range(3)}
    put(study, {"start": [1.0] * 4, **values})
    found = difference(Results(study), "hybrid", "mean", 0, KEY)
    assert found is not None
    gap, p = found
    assert gap.value == pytest.approx(0.2)
    reach = 4.302653 * 0.1 / 3**0.5
    assert gap.interval == pytest.approx((0.2 - reach, 0.2 + reach), rel=1e-5)
    assert p == pytest.approx(0.0742, abs=1e-4)


def test_a_single_question_group_tests_nothing(tmp_path: Path) -> None:
    """Whether there is one group, or one that has values, nothing is known of how much groups differ."""
    for groups in (1, 3):
        (tmp_path / str(groups)).mkdir()
        study = made(tmp_path / str(groups))
        values = {"start": [0.5] * groups}
        for seed in range(3):
            values |= {f"hybrid-all-{seed}": [0.75 + 0.01 * seed] * groups, f"mean-all-{seed}": [0.5] * groups}
        put(study, values)
        for file in (study.output / "cells").glob("*/sums.npz") if groups > 1 else ():
            with np.load(file) as held:
                number, total = held[f"{KEY}|number"], held[f"{KEY}|total"]
            number[1:] = 0
            np.savez_compressed(file, **{f"{KEY}|number": number, f"{KEY}|total": total * number})
        results = Results(study)
        found = difference(results, "hybrid", "mean", 0, KEY)
        whole = results.estimate("hybrid", 0, KEY)
        assert found is not None
        assert whole is not None
        assert [found[0].value, whole.value] == pytest.approx([0.52, 0.76])  # the first is a share of the start's .5
        assert (found[0].interval, found[1], whole.interval) == (None, None, None)
        text = to_markdown(results, status_of(study))
        assert "Nothing can be tested, because each figure is of a single question group." in text


def test_a_constant_difference_is_tested_if_there_are_groups_and_seeds() -> None:
    same = np.full((2, 1000), 0.01)
    assert t_test(SeedFigures(same[:, 0], same, 1)) == (Estimate(0.01, None, 2), None)
    assert t_test(SeedFigures(same[:1, 0], same[:1], 1)) == (Estimate(0.01, None, 1), None)
    assert t_test(SeedFigures(same[:1, 0], same[:1], 2)) == (Estimate(0.01, (0.01, 0.01), 1), None)
    assert t_test(SeedFigures(same[:, 0], same, 2)) == (Estimate(0.01, (0.01, 0.01), 2), 0.0)
    pilot = SeedFigures(np.array([0.01, 0.03]), same, 1)
    assert smallest_difference(pilot, 2, 1, 0.05) is None


def test_the_report_counts_the_languages_that_batches_met(tmp_path: Path) -> None:
    study = made(tmp_path)
    names = ("start", "hybrid-all-0", "hybrid-all-1", "mean-all-0")
    put(study, {name: [0.5, 1.0, 0.0] for name in names})
    for seed, mono in ((0, 90), (1, 94)):
        file = study.output / "cells" / f"hybrid-all-{seed}" / "cell.json"
        about = json.loads(file.read_text("utf-8"))
        about["training"]["languages_met"] = {"mono": mono, "cross": 124}
        write_json(file, about)
    text = to_markdown(Results(study), status_of(study))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| all")]
    assert ["all languages", "hybrid", "32", "1", "1", "–", "–", "cross 124, mono 90 to 94"] in rows
    assert ["all languages", "mean", "32", "1", "1", "–", "–", "–"] in rows
