"""Code-switched runs: their texts, logs, messages and errors, and that they resume."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from panglot._errors import PanglotError
from panglot.augment import codeswitch
from panglot.batching.plan import Plan
from panglot.data.collection import Collection, Text
from panglot.encoders.open_model import open_model
from panglot.training import data
from panglot.training.data import Collator
from panglot.training.loop import fit
from panglot.training.model import TrainableEncoder
from panglot.training.record import total_switched
from panglot.training.settings import Settings

WORDS = {"where": "wo xx", "lies": "yy", "north": "zz", "lake": "qq", "in the": "pp"}


@pytest.fixture
def recipe(facts_folder: Path, small_model: Path, tmp_path: Path) -> Settings:
    rows = [(language, word, target + suffix) for language, suffix in (("de", "a"), ("fi", "e"), ("swh", "u"))
            for word, target in WORDS.items() if (language, word) != ("fi", "lies")]  # fmt: skip
    lang, en, target = (list(column) for column in zip(*rows, strict=True))
    pq.write_table(pa.table({"lang": lang, "en": en, "target": target}), tmp_path / "words.parquet")
    return Settings(
        model=str(small_model), on=(str(facts_folder),), output=tmp_path / "run", batch_size=8, steps=4,
        batches="english", precision="fp32", learning_rate=1e-3, checkpoint_every=1, code_switch="multilingual",
        lexicons=(str(tmp_path / "words.parquet"),), code_switch_languages=("de", "fi", "sw"),
    )  # fmt: skip


def collator(settings: Settings) -> tuple[data.TrainingData, Plan, Collator, TrainableEncoder]:
    read = data.load(settings)
    encoder = TrainableEncoder(open_model(settings.model, torch.device("cpu"))[0], settings, torch.device("cpu"))
    met = Collator(read, encoder, settings.hard_negatives, settings.seed)
    return read, Plan(read.sources, settings.policy), met, encoder


def spelled(encoder: TrainableEncoder, texts: list[Any]) -> list[str]:
    """Undo the letter tokenizer: without prompt."""
    pieces = {row: piece for piece, row in encoder.model.tokenizer.get_vocab().items()}
    return ["".join(pieces[i] for i in ids).partition(": ")[2] for ids in texts]


def languages_of(text: str) -> set[str]:
    """Return the last letters of the inserted words, which mark the language."""
    return {word[-1] for word in text.rstrip(".?").split() if word[:2] in {"xx", "zz", "pp"}}


def lines(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (settings.output / "log.jsonl").read_text().splitlines()]


def test_a_run_logs_its_share_and_resumes_as_never_stopped(
    recipe: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from panglot.training import loop

    whole = replace(recipe, output=tmp_path / "whole")
    fit(whole, progress=False)
    real, calls = loop._step, 0

    def stopping(*given: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(loop, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, progress=False)
    monkeypatch.setattr(loop, "_step", real)
    fit(recipe, progress=False)
    assert [line["step"] for line in lines(recipe)] == [1, 2, 3, 4]
    for once, again in zip(lines(whole), lines(recipe), strict=True):
        assert (once["loss"], once["switched"]) == (again["loss"], again["switched"])
        numbers = once["switched"]
        assert once["switched_share"] == sum(numbers["replaced"].values()) / numbers["words"]
        assert 0 < sum(numbers["replaced"].values()) <= numbers["covered"] < numbers["words"]
        assert set(numbers["replaced"]) <= {"de", "fi", "sw"}
    ours, theirs = (load_file(o / "model.safetensors") for o in (whole.output, recipe.output))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    card = (recipe.output / "README.md").read_text()
    met = total_switched(recipe.output / "log.jsonl")
    assert met.words == sum(line["switched"]["words"] for line in lines(recipe))
    assert f"{sum(met.replaced.values()) / met.words:.1%} of {met.words:,} English words were replaced" in card
    assert f"sw {met.replaced['sw'] / met.words:.2%}" in card


def test_an_objective_of_gradient_mixing_is_switched_too(recipe: Settings) -> None:
    settings = replace(recipe, mixing="mean", objectives=("english", "cross"), batches="hybrid", steps=2)
    fit(settings, progress=False)
    assert all(line["switched"]["words"] > 0 and len(line["objectives"]) == 2 for line in lines(settings))


def test_english_rows_are_switched_and_no_others(recipe: Settings) -> None:
    settings = replace(recipe, batches="mixed-mono", code_switch_share=1.0, hard_negatives=1)
    read, plan, met, encoder = collator(settings)
    collection = read.collections[0]
    seen = set[str]()
    for step in range(6):
        batch = plan(step)
        example = met(batch)
        asked = spelled(encoder, example.questions)
        answered = spelled(encoder, example.passages)
        for row, question in zip(batch.questions.tolist(), asked, strict=True):
            original = collection.questions["text"][row].as_py()
            english = collection.questions["language"][row].as_py() == "en"
            assert ("where" not in question and "wo xx" in question) if english else question == original
            seen.add("en" if english else "other")
        # Hard negatives too, because their language would be a clue otherwise.
        own = batch.question_languages == collection.languages.index("en")
        assert len(answered) == 2 * len(asked)
        for place, passage in enumerate(answered):
            english = own[place % len(asked)]
            assert ("north" not in passage and "zz" in passage) if english else "zz" not in passage
        numbers = met.metrics()
        assert bool(numbers) == bool(own.any())
        assert not numbers or sum(numbers["switched"]["replaced"].values()) == numbers["switched"]["covered"]
    assert seen == {"en", "other"}
    assert met.metrics() == {}


def test_hard_negatives_in_other_languages_stay(recipe: Settings, tmp_path: Path) -> None:
    topics = ("lake", "river", "north", "tower")
    passages = [Text(f"{x}-{t}", x, f"{x}-{t}", f"{t} lies in the north.") for x in ("de", "en") for t in topics]
    questions = [Text(f"q-{t}", "en", t, f"where is {t}?") for t in topics]
    judged = [(f"q-{t}", f"{x}-{t}", relevance) for t in topics for x, relevance in (("en", 1), ("de", 0))]
    Collection.build("mixed", questions, passages, judged).save(tmp_path / "mixed")
    settings = replace(recipe, on=(str(tmp_path / "mixed"),), hard_negatives=1, code_switch_share=1.0)
    _, plan, met, encoder = collator(settings)
    answered = spelled(encoder, met(plan(0)).passages)
    half = len(answered) // 2
    assert all("zz" in text for text in answered[:half])
    assert all(text.endswith(" lies in the north.") for text in answered[half:])


def test_texts_depend_on_seed_step_row_and_side_alone(recipe: Settings) -> None:
    _, plan, one, _ = collator(recipe)
    other = collator(recipe)[2]
    later = other(plan(5)), other(plan(2))
    for step, met in ((2, later[1]), (5, later[0])):
        assert one(plan(step)).questions == met.questions
        assert one(plan(step)).passages == met.passages
    # An epoch later the same rows have other words.
    texts = {str(one(replace(plan(2), step=step)).passages) for step in range(8)}
    assert len(texts) > 4
    seeded = collator(replace(recipe, seed=1))[2]
    assert seeded(plan(2)).passages != later[1].passages


def test_rows_in_two_languages_and_groups_stay(recipe: Settings) -> None:
    settings = replace(recipe, code_switch_share=1.0, batches="hybrid", alpha=0.5)
    read, _, met, _ = collator(settings)
    plain = collator(replace(settings, code_switch="none", code_switch_languages=(), lexicons=()))[2]
    for kind in ("cross", "cross-pair", "whole-group"):
        batch = Plan(read.sources, replace(settings.policy, batches=kind))(0)
        assert met(batch).questions == plain(batch).questions
        assert met(batch).passages == plain(batch).passages
    assert met.metrics() == {}


def test_bilingual_texts_have_one_language_and_the_sides_their_own(recipe: Settings) -> None:
    settings = replace(recipe, code_switch="bilingual", code_switch_share=1.0)
    _, plan, met, encoder = collator(settings)
    pairs = set[tuple[str, str]]()
    for step in range(10):
        example = met(plan(step))
        ends = [
            [languages_of(text) for text in spelled(encoder, side)] for side in (example.questions, example.passages)
        ]
        assert all(len(text) == 1 for side in ends for text in side)
        pairs.update((x.pop(), y.pop()) for x, y in zip(*ends, strict=True))
    assert len(pairs) > 5


def test_words_that_may_come_in_are_trained_where_embeddings_are_trimmed(recipe: Settings) -> None:
    read = data.load(recipe)
    texts = read.used_texts()
    assert {"wo xxa", "Wo xxa", "wo xxu"} <= set(texts["question"])
    assert {"zze", "Zze", "ppu"} <= set(texts["passage"])
    assert "lexicons" in read.digests


def test_a_changed_lexicon_is_refused_on_resuming(recipe: Settings) -> None:
    fit(recipe, progress=False)
    (recipe.output / "modules.json").unlink()
    table = {"lang": ["de"], "en": ["where"], "target": ["wohin"]}
    pq.write_table(pa.table(table), recipe.lexicons[0])
    with pytest.raises(PanglotError, match="lexicons changed since the run started"):
        fit(recipe, progress=False)


def test_missing_languages_are_named_and_the_run_continues(
    recipe: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(recipe, code_switch_languages=("fi", "tlh", "zh-TW"), steps=1)
    fit(settings, progress=False)
    notes = capsys.readouterr().err
    assert "uses 1 of 3 languages, as no lexicon has tlh, zh-Hant" in notes
    assert re.search(r"the lexicons cover \d\d% of \d+ English words looked at \(fi \d\d%\)", notes)
    assert "No lexicon has tlh, zh-Hant." in (settings.output / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"code_switch": "trilingual"}, "unknown value 'trilingual'"),
        ({"code_switch_share": 1.5}, "code_switch_share.*must be between 0 and 1"),
        ({"code_switch_share": -0.1}, "code_switch_share.*must be between 0 and 1"),
        ({"code_switch_share": float("nan")}, "code_switch_share.*must be between 0 and 1"),
        ({"code_switch": "none"}, "set without code_switch"),
        ({"batches": "cross"}, "needs rows in one language"),
        ({"batches": "whole-group"}, "needs rows in one language"),
        ({"batches": "hybrid", "alpha": 0.0}, "needs rows in one language"),
        ({"mixing": "mean", "objectives": ("cross", "distill"), "batches": "hybrid"}, "needs rows in one language"),
        ({"code_switch_languages": ("tlh",)}, "no entry in tlh"),
        ({"code_switch_languages": ("klingon!",)}, "unknown language code"),
        ({"languages": ("de", "fi"), "batches": "mono"}, "English on both sides"),
        ({"lexicons": ("muse",)}, "unknown lexicon 'muse'"),
    ],
)
def test_what_cannot_be_done_is_refused(recipe: Settings, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(PanglotError, match=named):
        data.load(replace(recipe, **changes))


def test_metrics_count_words(recipe: Settings) -> None:
    _, plan, met, _ = collator(recipe)
    batch = plan(0)
    met(batch)
    met(batch)
    # Taken twice in one step, as a way of mixing may do, a text counts once.
    assert met.metrics()["switched"]["words"] == len(batch.questions) * 3 + len(batch.passages) * 5
    assert codeswitch.switching_metrics([]) == {}
