"""The models that come with panglot: folders that are made once and mended, and every place that takes their names."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from encoders_made import use_small_start, write_small
from sentence_transformers import SentenceTransformer

import panglot
from panglot._errors import PanglotError
from panglot.cli.languages import doctor
from panglot.encoders import model_folders
from panglot.encoders.bundled import E5File
from panglot.encoders.model_folders import BUNDLED, SHIPPED, SMALL, origin_of, shipped_folder
from panglot.encoders.tokenizers import open_counter

TEXTS = ["wo ist der bahnhof?", "the river flows.", "中文", "a"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> E5File:
    """A small model in place of the bundled one, and a package without weights of panglot-small."""
    return use_small_start(monkeypatch, tmp_path)


@pytest.fixture
def package(start: E5File) -> Path:
    """The package's folder of panglot-small, with weights."""
    return write_small(start)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that models were written to."""
    folders: list[Path] = []
    real = model_folders.write_model

    def write(e5: E5File, weights: Mapping[str, Any], folder: Path) -> None:
        folders.append(folder)
        real(e5, weights, folder)

    monkeypatch.setattr(model_folders, "write_model", write)
    return folders


def test_the_weights_in_the_package_are_better_than_the_start() -> None:
    # The facts had no part in training, nor in the choice of settings.
    found = panglot.compare([BUNDLED, SMALL], test="starter:dev", languages=["ar", "en", "fi", "zh"], draws=0)
    figures = found.figures["datasets"]["starter:dev"]
    start, small = (
        {name: figures[f"{name}.mAP"]["values"][model] for name in ("monolingual", "crosslingual", "multilingual")}
        for model in (BUNDLED, SMALL)
    )
    assert small["monolingual"] > start["monolingual"] - 0.005
    assert small["crosslingual"] > start["crosslingual"]
    assert small["multilingual"] > start["multilingual"] + 0.05


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.usefixtures("package")
def test_made_once(tmp_path: Path, written: list[Path], name: str) -> None:
    folder = shipped_folder(name)
    assert folder == shipped_folder(name)
    assert folder.is_relative_to(tmp_path / "cache")
    assert len(written) == 1
    assert (folder / "README.md").is_file() == (name == SMALL)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "manifest", "folder"])
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.usefixtures("package")
def test_damage_is_mended(written: list[Path], name: str, damage: str) -> None:
    folder = shipped_folder(name)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    if damage == "truncate":
        weights.write_bytes(whole[:-1])
    elif damage == "flip":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "remove":
        (folder / "config.json").unlink()
    elif damage == "manifest":
        (folder / model_folders.MANIFEST).write_text("[")
    else:
        shutil.rmtree(folder)
    assert (shipped_folder(name) / "model.safetensors").read_bytes() == whole
    assert len(written) == 2


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.usefixtures("package")
def test_nothing_is_believed_after_a_kill_half_way(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def dies(_e5: object, _weights: object, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model_folders, "write_model", dies)
        with pytest.raises(KeyboardInterrupt):
            shipped_folder(name)
    assert SentenceTransformer(str(shipped_folder(name)), device="cpu").encode_query(TEXTS).shape == (4, 32)


def _folder_in_a_process(_: int) -> str:
    return str(shipped_folder(BUNDLED))


@pytest.mark.slow
def test_processes_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        (folder,) = set(pool.map(_folder_in_a_process, range(3)))
    assert (Path(folder) / "model.safetensors").stat().st_size > 4e8
    assert not list(Path(folder).parent.glob("*.part"))


@pytest.mark.usefixtures("package")
def test_vectors_are_those_of_sentence_transformers_and_not_of_the_start() -> None:
    ours, before = (panglot.load(name, precision="fp32", device="cpu") for name in (SMALL, BUNDLED))
    theirs = SentenceTransformer(str(shipped_folder(SMALL)), device="cpu")
    np.testing.assert_allclose(ours.encode(TEXTS, "question"), theirs.encode_query(TEXTS), atol=1e-6)
    np.testing.assert_allclose(ours.encode(TEXTS, "passage"), theirs.encode_document(TEXTS), atol=1e-6)
    assert (ours.encode(TEXTS, "passage") * before.encode(TEXTS, "passage")).sum(1).max() < 0.999
    assert (ours.name, before.name) == (SMALL, BUNDLED)
    assert ours.fingerprint != before.fingerprint
    assert pickle.loads(pickle.dumps(ours)).name == SMALL


def test_new_weights_are_another_model_and_a_new_card_is_not(start: E5File, package: Path, written: list[Path]) -> None:
    folder, before = shipped_folder(SMALL), panglot.load(SMALL).fingerprint
    (package / "README.md").write_text("---\nlicense: mit\n---\nAnother card.\n")
    assert shipped_folder(SMALL) == folder
    assert "Another card." in (folder / "README.md").read_text()
    assert (panglot.load(SMALL).fingerprint, len(written)) == (before, 2)
    write_small(start, seed=1)
    assert shipped_folder(SMALL) != folder
    assert panglot.load(SMALL).fingerprint != before


def test_a_folder_of_its_name_is_not_opened(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / SMALL).mkdir()
    (tmp_path / SMALL / "debiasing.json").write_text("{}")
    opened: Any = panglot.load(SMALL)
    assert opened.folder == shipped_folder(SMALL)
    assert package.name == SMALL


@pytest.mark.usefixtures("package")
def test_its_origin_and_tokens_are_those_of_the_start() -> None:
    for name in SHIPPED:
        assert origin_of(name, shipped_folder(name)) == ("intfloat/multilingual-e5-small", "mit")
    assert open_counter(SMALL).counts(TEXTS) == open_counter(BUNDLED).counts(TEXTS)


@pytest.mark.usefixtures("package")
def test_training_starts_from_it(facts_folder: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"batch_size": 8, "exclude": [], "max_length": 32, "precision": "fp32"}
    folder = panglot.train(SMALL, str(facts_folder), tmp_path / "run", steps=1, learning_rate=0.0, **settings)
    assert json.loads((folder / "run.json").read_text())["settings"]["model"] == SMALL
    assert "base_model: intfloat/multilingual-e5-small" in (folder / "README.md").read_text()
    before, after = (panglot.load(each, precision="fp32").encode(TEXTS, "question") for each in (SMALL, folder))
    np.testing.assert_allclose(after, before, atol=1e-6)
    with pytest.raises(PanglotError, match="model was 'panglot-small' and is now 'bundled'"):
        panglot.train(BUNDLED, str(facts_folder), folder, steps=1, learning_rate=0.0, **settings)


@pytest.mark.usefixtures("package")
def test_an_index_has_vectors_of_one_of_them(
    succeeds: Callable[..., str], fails: Callable[..., str], tmp_path: Path
) -> None:
    documents = tmp_path / "documents.jsonl"
    documents.write_text("".join(json.dumps({"id": t, "language": "en", "text": t}) + "\n" for t in TEXTS))
    index = tmp_path / "index"
    succeeds("index", documents, "--output", index, "--model", SMALL)
    found = json.loads(succeeds("search", index, TEXTS[1], "--json", "-"))
    assert len(found["hits"]) == len(TEXTS)
    assert json.loads((index / "index.json").read_text())["model"] == SMALL
    assert "panglot-small" in fails("index", documents, "--output", index, "--add", "--model", BUNDLED)


@pytest.mark.usefixtures("start")
def test_without_weights(fails: Callable[..., str], tmp_path: Path) -> None:
    said = (
        r"this installation of panglot has no weights of panglot-small\. Fix: use bundled, .*small\.py pack RUN_FOLDER"
    )
    with pytest.raises(PanglotError, match=said):
        panglot.load(SMALL)
    for command in (
        ("evaluate", SMALL, "starter:dev"),
        ("compare", SMALL, BUNDLED, "--test", "starter:dev"),
        ("train", SMALL, "--on", "starter:train", "--output", tmp_path / "run"),
        ("debias", SMALL, "--on", "starter:train", "--output", tmp_path / "debiased"),
        ("languages", "de", "--model", SMALL),
    ):
        assert "has no weights of panglot-small" in fails(*command), command
    found = json.loads(CliRunner().invoke(doctor, ["--json", "-"]).stdout)["models"]
    assert found[BUNDLED]["path"]
    assert found[SMALL]["path"] is None
    assert "no weights of panglot-small" in found[SMALL]["problem"]
    assert "panglot-small      not usable" in CliRunner().invoke(doctor).stdout


def test_damaged_weights_in_the_package(package: Path) -> None:
    file = package / model_folders.DIFFERENCE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(PanglotError, match=r"difference was damaged\. Fix: install panglot again"):
        shipped_folder(SMALL)
    file.write_bytes(whole)
    assert shipped_folder(SMALL).is_dir()
