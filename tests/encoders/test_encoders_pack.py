"""``benchmarks/small.py`` packs a run from the bundled model, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders_made import use_small_start
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

import panglot
import small
from panglot._errors import PanglotError
from panglot.encoders import model_folders
from panglot.encoders.model_folders import BUNDLED, DIFFERENCE, SMALL, shipped_folder

TEXTS = ["wo ist der bahnhof?", "the river flows.", "中文", "a"]
SETTINGS: dict[str, Any] = {"batch_size": 8, "exclude": [], "max_length": 64, "steps": 3, "precision": "fp32"}


@pytest.fixture
def run(tmp_path: Path, facts_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three steps from a small model in place of the bundled one."""
    use_small_start(monkeypatch, tmp_path)
    return panglot.train(BUNDLED, str(facts_folder), tmp_path / "run", learning_rate=1e-2, **SETTINGS)


def package() -> Path:
    return model_folders.TRAINED[SMALL]


def test_a_run_is_packed_and_opened(run: Path) -> None:
    found = small.pack(run, package())
    assert 0 < found["relative_error"] < 0.1
    assert found["cosine"]["least"] > 0.999
    assert found["start_cosine"]["mean"] < found["cosine"]["least"]
    packed, trained = (panglot.load(model, precision="fp32") for model in (SMALL, run))
    vectors = packed.encode(TEXTS, "question")
    assert (vectors * trained.encode(TEXTS, "question")).sum(1).min() > 0.999
    folder = shipped_folder(SMALL)
    theirs = SentenceTransformer(str(folder), device="cpu").encode_query(TEXTS)
    np.testing.assert_allclose(vectors, theirs, atol=1e-6)
    for name in ("recipe.toml", "run.json"):
        assert (folder / name).read_bytes() == (run / name).read_bytes()
    before = (package() / DIFFERENCE).read_bytes()
    small.pack(run, package())
    assert (package() / DIFFERENCE).read_bytes() == before


def test_the_card(run: Path, tmp_path: Path, facts_folder: Path, succeeds: Callable[..., str]) -> None:
    small.pack(run, package())
    text = (package() / "README.md").read_text("utf-8")
    assert text.count("Not measured yet.") == 2
    head, _, rest = text.removeprefix("---\n").partition("\n---\n")
    assert "model_name: panglot-small\n" in head
    assert "base_model: intfloat/multilingual-e5-small\nlanguage" in head.replace("datasets:\n- facts\n", "")
    assert rest.startswith("\n# panglot-small\n\nA multilingual retrieval model, trained by [panglot]")
    for line in ("| facts | not stated | 20 |", 'model = "bundled"\n', "Versions: python"):
        assert line in rest
    figures = tmp_path / "figures.json"
    succeeds("compare", SMALL, BUNDLED, "--test", facts_folder, "--json", figures)
    small.pack(run, package(), [figures])
    rest = (package() / "README.md").read_text("utf-8")
    compared = json.loads(figures.read_text())["datasets"]["facts"]["monolingual.mAP"]
    values, (difference,) = compared["values"], compared["differences"]
    row = f"| facts, Monolingual mAP | {values[BUNDLED]:.3f} | {values[SMALL]:.3f} | "
    row += (
        f"{values[SMALL] - values[BUNDLED]:+.3f} [{difference['interval'][0]:+.3f}, {difference['interval'][1]:+.3f}] |"
    )
    assert row in rest
    assert "| facts, Rank distance ↓ |" in rest


def test_where_it_loses(tmp_path: Path) -> None:
    mean, distance = {BUNDLED: 0.8, SMALL: 0.7}, {BUNDLED: 1200.0, SMALL: 300.4}
    pair = {"a": BUNDLED, "b": SMALL, "difference": 0.1, "interval": [0.05, 0.15], "p": 0.01, "p_corrected": 0.01}
    compared = {
        "monolingual.mAP": {"values": mean, "differences": [pair], "best": None},
        "multilingual.rank_distance": {"values": distance, "differences": [], "best": None},
    }
    by_model = {
        name: {"monolingual": {"mAP": mean[name]}, "multilingual": {"rank_distance": distance[name]}} for name in mean
    }
    evaluations = {name: {"datasets": {"facts": each}} for name, each in by_model.items()}
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"models": [*mean], "datasets": {"facts": compared}, "evaluations": evaluations}))
    assert [*small.rows([file])] == [
        (("facts, Monolingual mAP", "0.800", "0.700", "-0.100 [-0.150, -0.050]"), True),
        (("facts, Rank distance ↓", "1200", "300", "-900"), False),
    ]
    file.write_text(json.dumps({"models": [BUNDLED, "other"], "datasets": {}, "evaluations": {}}))
    with pytest.raises(PanglotError, match="the figures are not of panglot-small"):
        next(small.rows([file]))


def test_an_average_of_runs(run: Path, facts_folder: Path, tmp_path: Path) -> None:
    other = panglot.train(BUNDLED, str(facts_folder), tmp_path / "other", learning_rate=5e-3, seed=1, **SETTINGS)
    averaged = panglot.average([BUNDLED, run, other], tmp_path / "averaged", weights=[0.2, 0.4, 0.4])
    assert small.pack(averaged, package(), runs=[run, other])["cosine"]["least"] > 0.999
    for name in ("recipe-1.toml", "recipe-2.toml", "run-2.json", "average.json"):
        assert (shipped_folder(SMALL) / name).is_file()
    text = (package() / "README.md").read_text("utf-8")
    assert "| other | 0.400 |" in text
    # The data are the same. Of the second recipe, the card has what differs.
    assert text.count("### other\n") == text.count("### run\n") == 1
    assert "As run, except:\n\n```toml\noutput = " in text
    assert text.count("seed = 1\n") == 1
    vectors, theirs = (panglot.load(each, precision="fp32").encode(TEXTS, "passage") for each in (SMALL, averaged))
    assert (vectors * theirs).sum(1).min() > 0.999
    with pytest.raises(PanglotError, match="an average with other, which is neither bundled nor among --runs"):
        small.pack(averaged, package(), runs=[run])
    with pytest.raises(PanglotError, match="this is no average"):
        small.pack(run, package(), runs=[run])


def _edit(file: Path, change: Callable[[Any], None]) -> None:
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


def _weights(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    found = load_file(run / "model.safetensors")
    change(found)
    save_file(found, run / "model.safetensors", metadata={"format": "pt"})


def _embeddings(found: dict[str, Any]) -> None:
    found["embeddings.word_embeddings.weight"][5, 5] += 1e-3


def _first_token(found: dict[str, Any]) -> None:
    found.update(pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)


def _damaged(found: dict[str, Any]) -> None:
    found["encoder.layer.1.output.dense.weight"][0, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run / "modules.json").unlink(), "no finished run, because it has no modules.json"),
        (lambda run: shutil.rmtree(run), "no finished run, because it has no run.json"),
        (lambda run: _edit(run / "run.json", lambda found: found["settings"].update(model="runs/first")),
         "the run started from runs/first, and only a difference to bundled is packed"),
        (lambda run: _edit(run / "modules.json", lambda found: found.append({"type": "some.Dense"})),
         "got Transformer, Pooling, Normalize, Dense"),
        (lambda run: _weights(run, _embeddings), "model.safetensors.*the trained model has word embeddings of its own"),
        (lambda run: _weights(run, _damaged), "a difference is not a number"),
        (lambda run: _edit(run / "1_Pooling" / "config.json", _first_token),
         "a vector of the packed model has the cosine"),
    ],
)  # fmt: skip
def test_what_is_not_packed(run: Path, change: Callable[[Path], None], message: str) -> None:
    change(run)
    with pytest.raises(PanglotError, match=message):
        small.pack(run, package())
    assert not package().exists()


@pytest.mark.slow
def test_the_bundled_model_after_a_change_of_two_percent(
    tmp_path: Path, facts_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = shipped_folder(BUNDLED)
    run = tmp_path / "run"
    shutil.copytree(start, run)
    generator = np.random.default_rng(0)

    def change(found: dict[str, Any]) -> None:
        for name, each in found.items():
            if "word_embeddings" not in name:
                size = 0.02 * np.linalg.norm(each) / each.size**0.5
                found[name] = each + generator.normal(0, size, each.shape).astype(np.float32)

    _weights(run, change)
    (run / "run.json").write_text('{"settings": {"model": "bundled"}}')
    (run / "recipe.toml").write_text('model = "bundled"\n')
    (run / "README.md").write_text("---\nlicense: mit\n---\n\n# run\n\nMade.\n\n## Training data\n\n## Recipe\n")
    monkeypatch.setitem(model_folders.TRAINED, SMALL, tmp_path / "package" / SMALL)
    monkeypatch.setenv("PANGLOT_CACHE", str(tmp_path / "cache"))
    found = small.pack(run, package(), on=str(facts_folder))
    assert found["relative_error"] < 0.1
    assert found["cosine"]["least"] > 0.9995 > found["start_cosine"]["mean"]
    assert (package() / DIFFERENCE).stat().st_size < 12.5e6
    vectors = panglot.load(SMALL, precision="fp32").encode(TEXTS, "passage")
    theirs = SentenceTransformer(str(shipped_folder(SMALL)), device="cpu").encode_document(TEXTS)
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
