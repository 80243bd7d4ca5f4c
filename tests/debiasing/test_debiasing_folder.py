"""``panglot debias`` from the command line to a folder that plain sentence-transformers opens."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from debiasing_made import LANGUAGES, biased
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

import panglot
from panglot._errors import PanglotError
from panglot._files import file_digest
from panglot.data.collection import Collection, Text
from panglot.debiasing import correction
from panglot.debiasing.correction import METHODS, Debiased
from panglot.debiasing.debias import BROAD, debias, open_sets, sample
from panglot.debiasing.fit import fit
from panglot.encoders.model_folders import make_portable
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

Run = Callable[..., str]
TEXTS = [
    "Der Fluss mündet nach langem Lauf in das Schwarze Meer.",
    "The river flows into the Black Sea after a long course.",
    "Река впадает в Чёрное море после долгого пути.",
    "নদীটি দীর্ঘ পথ পেরিয়ে কৃষ্ণ সাগরে পড়ে।",
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


KINDS: dict[str, dict[str, Any]] = {
    **{method: {"method": method} for method in METHODS},
    "center-whiten": {"method": "center", "strength": 0.75, "whiten": 0.8},
    "whiten": {"method": "center", "strength": 0, "whiten": 0.8},
    "leace-whiten": {"method": "leace", "strength": 0.5, "whiten": 0.8},
    "lsar-whiten": {"method": "lsar", "whiten": 0.8},
}
FOR_ALL = {"lsar", "leace", "whiten", "leace-whiten", "lsar-whiten"}


@pytest.fixture(scope="module")
def folders(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A debiased folder of each kind."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANGLOT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return {
            kind: debias(
                tiny_model, "starter:train", output=root / kind, languages=["bn", "de", "en", "ru"], texts=6, **options
            )
            for kind, options in KINDS.items()
        }


def plain(folder: Path) -> SentenceTransformer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SentenceTransformer(str(folder), device="cpu", trust_remote_code=folder.name not in FOR_ALL)


@pytest.mark.parametrize("method", KINDS)
def test_plain_sentence_transformers_gives_panglots_vectors(folders: dict[str, Path], method: str) -> None:
    ours = panglot.load(folders[method], precision="fp32")
    model = plain(folders[method])
    assert isinstance(ours, Debiased)
    asked, found = ours.encode(TEXTS, "question"), ours.encode(TEXTS, "passage")
    np.testing.assert_allclose(model.encode_query(TEXTS), asked, atol=2e-6)
    np.testing.assert_allclose(model.encode_document(TEXTS), found, atol=2e-6)
    np.testing.assert_allclose(model.encode(TEXTS, prompt_name="query"), asked, atol=2e-6)
    np.testing.assert_allclose(model.encode([f"query: {text}" for text in TEXTS]), asked, atol=2e-6)
    np.testing.assert_allclose(model.encode([f"passage: {text}" for text in TEXTS]), found, atol=2e-6)
    base = panglot.load(folders[method] / "model", precision="fp32")
    assert np.allclose(base.encode(TEXTS, "passage"), found, atol=1e-3) is False
    without_panglot = method in FOR_ALL and "panglot" not in (folders[method] / "modules.json").read_text("utf-8")
    assert without_panglot == (method in FOR_ALL)
    if method == "shift":
        np.testing.assert_allclose(base.encode(TEXTS, "question"), asked, atol=1e-6)


def test_a_language_may_be_given_to_plain_sentence_transformers(folders: dict[str, Path]) -> None:
    ours, model = panglot.load(folders["center"], precision="fp32"), plain(folders["center"])
    assert isinstance(ours, Debiased)
    wanted = ours.encode(TEXTS, "passage", languages=["ru"] * len(TEXTS))
    for code in ("ru", "rus_Cyrl"):
        np.testing.assert_allclose(model.encode_document(TEXTS, language=code), wanted, atol=2e-6)
    with pytest.warns(RuntimeWarning, match="not fitted on sw"):
        model.encode_document(TEXTS, language="sw")
    assert not np.allclose(wanted, ours.encode(TEXTS, "passage"), atol=1e-3)


@pytest.mark.parametrize("kind", ["center", "center-whiten"])
def test_saved_again_by_sentence_transformers_it_is_the_same(
    folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    model = plain(folders[kind])
    model.save_pretrained(str(tmp_path / "again"), create_model_card=False)
    np.testing.assert_array_equal(plain(tmp_path / "again").encode_query(TEXTS), model.encode_query(TEXTS))


def test_a_bias_is_added_to_vectors_of_unit_length(folders: dict[str, Path], tiny_model: Path, tmp_path: Path) -> None:
    modules = json.loads((tiny_model / "modules.json").read_text("utf-8"))
    kind = "sentence_transformers.models.Normalize"
    assert not any(module["type"].endswith(".Normalize") for module in modules)
    shutil.copytree(tiny_model, tmp_path / "unit")
    modules.append({"idx": len(modules), "name": "unit", "path": "unit", "type": kind})
    (tmp_path / "unit" / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    codes = ["bn", "de", "en", "ru"]
    folder = debias(tmp_path / "unit", "starter:train", "leace", tmp_path / "leace", languages=codes, texts=6)
    np.testing.assert_allclose(plain(folder).encode(TEXTS), plain(folders["leace"]).encode(TEXTS), atol=2e-6)
    for each in (folder, folders["leace"]):
        found = [module["type"] for module in json.loads((each / "modules.json").read_text("utf-8"))]
        assert found[-3:] == [kind, kind.replace("Normalize", "Dense"), kind]


def test_without_trust_sentence_transformers_says_what_to_do(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        SentenceTransformer(str(folders["center"]), device="cpu")
    assert "trust_remote_code=True" in (folders["center"] / "README.md").read_text("utf-8")
    assert "trust_remote_code" not in (folders["lsar"] / "README.md").read_text("utf-8")


def test_the_model_in_it_is_the_model(folders: dict[str, Path], tiny_model: Path, tmp_path: Path) -> None:
    # The names of its configuration are those that older versions of sentence-transformers read too.
    shutil.copytree(tiny_model, tmp_path / "same")
    make_portable(tmp_path / "same")
    given = panglot.load(tmp_path / "same")
    assert np.array_equal(given.encode(TEXTS, "passage"), panglot.load(tiny_model).encode(TEXTS, "passage"))
    inside = panglot.load(folders["center"] / "model")
    assert inside.fingerprint == given.fingerprint
    ours = panglot.load(folders["center"], name="mine")
    assert isinstance(ours, Debiased)
    assert (ours.base.fingerprint, ours.name) == (given.fingerprint, "mine")
    assert (folders["center"] / "model" / "model.safetensors").stat().st_nlink > 1


def test_the_command_line_and_what_it_says(tiny_model: Path, tmp_path: Path, succeeds: Run) -> None:
    common = ["--on", "starter:train", "--texts", "5", "--languages", "en,de,sw"]
    output = tmp_path / "centered"
    out = succeeds("debias", tiny_model, *common, "--method", "center", "--output", output, "--json", "-")
    told = json.loads(out)
    assert told["languages"] == ["de", "en", "sw"]
    assert told["texts"]["question"] == {"de": 5, "en": 5, "sw": 5}
    assert told["on"][0]["name"] == "starter:train"
    distance = told["distance_between_languages"]
    assert distance["after"]["passage"] < distance["before"]["passage"]
    assert (told["strength"], told["whiten"]) == (1.0, None)
    # Facts that were not fitted on.
    (other,) = told["on_other_text"]
    assert other == "starter:dev"
    assert set(told["on_other_text"][other]["after"]) == {"question", "passage"}
    assert told["on_other_text"][other]["before"] != distance["before"]
    out = succeeds("debias", tiny_model, *common, "--method", "lsar", "--rank", "1", "--output", tmp_path / "lsar")
    assert "panglot compare" in out
    assert "fitted on starter:train\n" in out
    assert "mean distance between languages, passages of starter:dev: " in out
    with pytest.warns(RuntimeWarning, match="1 of 36 passages cut at 256 tokens"):
        found = json.loads(succeeds("evaluate", output, "starter:dev", "--languages", "en,de,sw", "--json", "-"))
    assert found["model"]["name"] == "centered"
    assert found["datasets"]["starter:dev"]["multilingual"]["mAP"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--on", "starter:test"), "test set"),
        (("--on", "starter:train", "--languages", "en"), "at least two languages"),
        (("--on", "starter:train", "--languages", "en,ko"), "ko"),
        (("--on", "starter:train", "--texts", "1"), "fewer than 2"),
        (("--on", "starter:train", "--texts", "0"), "got 0"),
        (("--on", "starter:train", "--rank", "2"), "center has no rank"),
        (("--on", "starter:train", "--pivot", "en"), "center has no pivot"),
        (("--on", "starter:train", "--method", "shift", "--pivot", "ko"), "no passages in ko"),
        (("--on", "starter:train", "--method", "lsar", "--rank", "12"), "give 11 or less"),
        (("--on", "starter:train", "--method", "lir", "--rank", "9", "--texts", "9"), "give 8 or less"),
        (("--on", "nothing-known"), "nothing-known"),
        (("--on", "starter:train", "--strength", "1.5"), "`strength` must be between 0 and 1, got 1.5"),
        (("--on", "starter:train", "--whiten", "-1"), "`whiten` must be between 0 and 1, got -1"),
    ],
)
def test_mistakes_are_told_before_anything_is_encoded(
    tiny_model: Path, tmp_path: Path, arguments: tuple[str, ...], says: str, fails: Run
) -> None:
    told = fails("debias", tiny_model, *arguments, "--output", tmp_path / "run")
    assert says in told
    assert not (tmp_path / "run").exists()


def test_whitening_on_text_without_translations_is_refused_before_anything_is_encoded(
    tiny_model: Path, tmp_path: Path, fails: Run
) -> None:
    row = '{{"id": "{0}{1}", "language": "{0}", "question": "{0}{1}?", "passage": "{0}{1}"}}\n'
    (tmp_path / "own.jsonl").write_text("".join(row.format(code, n) for code in ("de", "en") for n in range(3)))
    told = fails("debias", tiny_model, "--on", tmp_path / "own.jsonl", "--whiten", ".8", "--output", tmp_path / "run")
    assert "whitening needs at least 2 texts with translations, got 0" in told
    assert not (tmp_path / "run").exists()


def test_by_default_it_is_fitted_on_text_that_comes_with_panglot(
    tiny_model: Path, tmp_path: Path, succeeds: Run
) -> None:
    common = ("--languages", "de,en", "--texts", "6", "--whiten", "0.8", "--json", "-")
    told = json.loads(succeeds("debias", tiny_model, *common, "--output", tmp_path / "few"))
    assert [each["name"] for each in told["on"]] == ["starter:train"]
    assert told["whiten"] == 0.8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* passages cut at 256 tokens")
def test_by_default_it_is_fitted_on_all_broad_text_at_hand(
    tiny_model: Path, tmp_path: Path, data_dir: Path, succeeds: Run
) -> None:
    common = ("debias", tiny_model, "--languages", "de,en", "--texts", "6", "--json", "-")
    told = json.loads(succeeds(*common, "--output", tmp_path / "all", "--data-dir", data_dir))
    found = [each["name"] for each in told["on"]]
    there = [name for name in BROAD if name == "starter:train" or (data_dir / name.partition(":")[0]).is_dir()]
    # The name of a set's first part is that of the set.
    assert found == [name.replace("ntrex-128:train", "ntrex-128") for name in there]
    assert list(told["on_other_text"]) == ["starter:dev"]
    one = ("--on", found[-1], "--data-dir", data_dir)
    told = json.loads(succeeds(*common, *one, "--output", tmp_path / "one"))
    assert list(told["on_other_text"]) == ["starter:dev", *there[1:-1]]


def test_an_output_that_exists_is_left_alone(tiny_model: Path, tmp_path: Path, fails: Run) -> None:
    (tmp_path / "kept").write_text("kept")
    for output in (tmp_path, tmp_path / "kept"):
        assert "exists already" in fails("debias", tiny_model, "--on", "starter:train", "--output", output)
    assert (tmp_path / "kept").read_text() == "kept"


def test_an_output_that_appears_while_it_fits_is_left_alone(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "debiased"

    def fit_slowly(*arguments: Any, **settings: Any) -> Any:
        output.mkdir()
        (output / "kept").write_text("kept")
        return fit(*arguments, **settings)

    monkeypatch.setattr("panglot.debiasing.debias.fit", fit_slowly)
    with pytest.raises(PanglotError, match="exists already"):
        debias(tiny_model, "starter:train", "center", output, languages=["en", "de"], texts=10)
    assert (output / "kept").read_text() == "kept"


def test_debiasing_twice_is_refused_and_so_is_training(folders: dict[str, Path], tmp_path: Path, fails: Run) -> None:
    told = fails("debias", folders["center"], "--on", "starter:train", "--output", tmp_path / "run")
    assert "is debiased already" in told
    assert str(folders["center"] / "model") in told
    told = fails("train", folders["center"], "--on", "starter:train", "--output", tmp_path / "run")
    assert "debias the result" in told


def test_vectors_on_disk_are_no_model(tmp_path: Path) -> None:
    one = np.ones((1, 4), np.float32)
    np.savez(tmp_path / "v.npz", questions=one, passages=one, question_ids=["q"], passage_ids=["p"])
    with pytest.raises(PanglotError, match="no files to copy"):
        debias(f"vectors:{tmp_path / 'v.npz'}", "starter:train", "center", tmp_path / "run", texts=3)


@pytest.mark.parametrize("options", KINDS.values(), ids=list(KINDS))
def test_save_and_read_is_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    debiasing = fit(biased(), **options)
    correction.save(debiasing, tmp_path, {"seed": 3})
    found, head = correction.read(tmp_path)
    assert (found.method, found.languages, head["seed"]) == (options["method"], LANGUAGES, 3)
    expected = (options.get("strength", 1), options.get("whiten"))
    assert (found.strength, found.whiten) == (head["strength"], head["whiten"]) == expected
    assert found.arrays.keys() == debiasing.arrays.keys()
    for name, array in debiasing.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)


def test_a_folder_written_before_is_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    old = tmp_path / "center"
    shutil.copytree(folders["center"], old)
    for name in (correction.HEAD, correction.ARRAYS):
        (old / name).rename(old / name.replace("debiasing", "remedy"))
    head = json.loads((old / "remedy.json").read_text("utf-8"))
    del head["strength"], head["whiten"]
    (old / "remedy.json").write_text(json.dumps(head), encoding="utf-8")
    modules = (old / "modules.json").read_text("utf-8")
    modules = modules.replace("debiasing.module.DebiasingModule", "remedies.module.RemedyModule")
    (old / "modules.json").write_text(modules.replace("panglot.debiasing", "panglot.remedies"), encoding="utf-8")
    ours, again = panglot.load(folders["center"]), panglot.load(old)
    assert ours.fingerprint == again.fingerprint
    assert isinstance(again, Debiased)
    assert (again.debiasing.strength, again.debiasing.whiten) == (1, None)
    np.testing.assert_array_equal(ours.encode(TEXTS, "passage"), again.encode(TEXTS, "passage"))
    with pytest.raises(PanglotError, match="debias the result"):
        SentenceTransformerEncoder(old)
    with pytest.raises(PanglotError, match="debiased already"):
        debias(old, "starter:train", "center", tmp_path / "run", texts=3)


def _flip(folder: Path) -> None:
    raw = bytearray((folder / correction.ARRAYS).read_bytes())
    raw[-9] ^= 1
    (folder / correction.ARRAYS).write_bytes(raw)


def _cut(folder: Path) -> None:
    (folder / correction.ARRAYS).write_bytes((folder / correction.ARRAYS).read_bytes()[:40])


def _other_shape(folder: Path) -> None:
    arrays: dict[str, Any] = load_file(folder / correction.ARRAYS)
    save_file({**arrays, "offset": arrays["offset"][:, :2]}, folder / correction.ARRAYS)
    head = json.loads((folder / correction.HEAD).read_text("utf-8"))
    head["sha256"] = file_digest(folder / correction.ARRAYS)
    (folder / correction.HEAD).write_text(json.dumps(head))


def _without_its_matrix(folder: Path) -> None:
    head = json.loads((folder / correction.HEAD).read_text("utf-8"))
    (folder / correction.HEAD).write_text(json.dumps({**head, "whiten": 0.8}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped bit": _flip,
    "cut short": _cut,
    "other shape": _other_shape,
    "whitening without its matrix": _without_its_matrix,
    "numbers gone": lambda folder: (folder / correction.ARRAYS).unlink(),
    "no JSON": lambda folder: (folder / correction.HEAD).write_text("{"),
    "strength as text": lambda folder: (folder / correction.HEAD).write_text(
        (folder / correction.HEAD).read_text().replace('"strength": 1.0', '"strength": "all"')
    ),
    "another JSON": lambda folder: (folder / correction.HEAD).write_text("[]"),
    "without languages": lambda folder: (folder / correction.HEAD).write_text('{"method": "center"}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_debiasing_is_refused(folders: dict[str, Path], tmp_path: Path, damage: str) -> None:
    shutil.copytree(folders["center"], tmp_path / "run")
    DAMAGES[damage](tmp_path / "run")
    with pytest.raises(PanglotError, match="panglot debias") as caught:
        panglot.load(tmp_path / "run")
    assert str(tmp_path / "run" / "debiasing.") in str(caught.value)


def test_another_model_in_the_folder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["center"], tmp_path / "run")
    settings = tmp_path / "run" / "model" / "sentence_bert_config.json"
    settings.write_text(settings.read_text() + " ")
    with pytest.raises(PanglotError, match="not the one that the debiasing was fitted on"):
        panglot.load(tmp_path / "run")


def test_a_sample_is_seeded_distinct_and_parallel() -> None:
    sets = open_sets(["starter:train"])
    one, same, other = (sample(sets, 10, seed) for seed in (0, 0, 1))
    assert one == same != other
    passages = one["passage"]
    assert all(len(set(each.texts)) == 10 for each in passages.values())
    assert len({each.groups for each in passages.values()}) == 1
    assert list(sample(sets, 10, 0, pivot="en")) == ["passage"]


def test_a_large_set_does_not_crowd_out_a_small_one() -> None:
    sets = open_sets(["starter:train", "starter:dev"])
    alone = [sample([each], 8, 0)["passage"]["de"].groups for each in sets]
    (found,) = [sample(sets, 16, 0)["passage"]["de"].groups]
    assert [group.partition(":")[0] for group in found] == ["0", "1"] * 8
    assert {len(set(groups)) for groups in alone} == {8}
    assert sample(sets, 16, 0)["passage"]["de"].groups == found


def test_texts_without_a_group_are_drawn_as_any_others_and_are_no_translations() -> None:
    """They take turns with other sets, at random, and have no version in the pivot."""
    texts = [Text(f"{x}{i}", x, "", f"{x} {i}") for x in ("de", "en") for i in range(50)]
    alone = Collection.build("alone", texts, texts, [])
    named = Collection.build("named", texts, [Text(t.id, "en", t.id, f"more {t.text}") for t in texts], [])
    drawn = sample([alone.select(["en"]), named], 20, 0)["passage"]["en"]
    assert [group.partition(":")[0] for group in drawn.groups] == ["0", "1"] * 10
    assert len(set(drawn.groups)) == 20
    assert drawn.texts[0] != "en 0"
    assert not sample([alone], 20, 0, pivot="en")["passage"]["de"].texts
