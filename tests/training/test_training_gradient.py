"""The gradient of a batch does not depend on how it is computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from panglot.batching import Plan, Policy, TrainingTable
from panglot.data.collection import Collection, Text
from panglot.encoders.open_model import open_model
from panglot.training import data
from panglot.training.data import Collator
from panglot.training.gradient import Processes, backward, info_nce
from panglot.training.model import TrainableEncoder
from panglot.training.settings import Settings
from training_facts import TOPICS

CPU = torch.device("cpu")


def gradient(settings: Settings, step: int = 0, *, cached: bool = False) -> tuple[float, dict[str, torch.Tensor]]:
    training_data = data.load(settings)
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    collator = Collator(training_data, encoder, settings.hard_negatives, settings.seed)
    example = collator(Plan(training_data.sources, settings.policy)(step))
    loss = backward(encoder, example, settings, Processes(), seed=3, cached=cached)
    return loss, {name: p.grad.clone() for name, p in encoder.trained.items() if p.grad is not None}


def recipe(facts_folder: Path, small_model: Path, **changes: object) -> Settings:
    base = Settings(
        model=str(small_model),
        on=(str(facts_folder),),
        batch_size=12,
        batches="cross",
        precision="fp32",
        temperature=0.1,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("batches", ["cross", "whole-group", "hybrid-row"])
@pytest.mark.parametrize("hard_negatives", [0, 1])
@pytest.mark.parametrize("dropout", [False, True])
def test_grad_cache_is_the_plain_gradient(
    facts_folder: Path, small_model: Path, batches: str, hard_negatives: int, dropout: bool
) -> None:
    settings = recipe(
        facts_folder,
        small_model,
        batches=batches,
        hard_negatives=hard_negatives,
        dropout=dropout,
        chunk_tokens=150,
    )
    plain = gradient(settings)
    cached = gradient(settings, cached=True)
    assert cached[0] == pytest.approx(plain[0], abs=1e-6)
    assert plain[1].keys() == cached[1].keys()
    for name, expected in plain[1].items():
        torch.testing.assert_close(cached[1][name], expected, atol=1e-5, rtol=0)


def test_dropout_is_replayed_only_where_it_is_on(facts_folder: Path, small_model: Path) -> None:
    still, moving = (gradient(recipe(facts_folder, small_model, dropout=on))[0] for on in (False, True))
    assert still != moving


def test_gradient_is_that_of_the_padded_model(facts_folder: Path, small_model: Path) -> None:
    settings = recipe(facts_folder, small_model, symmetric=False)
    loss, found = gradient(settings)
    training_data = data.load(settings)
    batch = Plan(training_data.sources, settings.policy)(0)
    model = open_model(settings.model, CPU)[0]
    model.eval()
    held = training_data.collections[0]
    vectors = []
    for prompt, texts in (
        ("query: ", held.questions["text"].take(batch.questions)),
        ("passage: ", held.passages["text"].take(batch.passages)),
    ):
        features = model.tokenizer([prompt + t for t in texts.to_pylist()], padding=True, return_tensors="pt")
        vectors.append(model(dict(features))["sentence_embedding"])
    expected = info_nce(vectors[0], vectors[1], temperature=settings.temperature)
    expected.backward()
    assert loss == pytest.approx(float(expected), abs=1e-5)
    plain = dict(model.named_parameters())
    for name, gradient_found in found.items():
        torch.testing.assert_close(gradient_found, plain[name].grad, atol=1e-5, rtol=0)


def test_vectors_of_models_that_need_padding_do_not_depend_on_it(facts_folder: Path, small_model: Path) -> None:
    settings = recipe(facts_folder, small_model)
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    texts = encoder.tokenize(["lake", "where is the lake?"], "question")
    packed = encoder.embed(texts)
    encoder.pooling = ""  # as with an architecture that cannot be packed
    torch.testing.assert_close(encoder.embed(texts), packed, atol=1e-6, rtol=0)


def test_frozen_parts_have_no_gradient(facts_folder: Path, small_model: Path) -> None:
    names = gradient(recipe(facts_folder, small_model, frozen_layers=1))[1]
    assert names
    assert all("layer.1." in name for name in names)
    assert not any("word_embeddings" in name for name in gradient(recipe(facts_folder, small_model))[1])


def test_trimmed_embeddings_move_only_tokens_of_the_training_text(facts_folder: Path, small_model: Path) -> None:
    from panglot.training.loop import fit

    output = facts_folder.parent / "trimmed"
    settings = recipe(facts_folder, small_model, embeddings="trimmed", output=output, steps=3, learning_rate=0.01)
    fit(settings, progress=False)
    before, after = (
        open_model(path, CPU)[0][0].auto_model.get_input_embeddings().weight for path in (small_model, output)
    )
    moved = (before != after).any(1)
    assert moved.any()
    assert not moved[-20:].any()


def test_trimmed_is_full_on_the_tokens_that_occur(facts_folder: Path, small_model: Path) -> None:
    full = gradient(recipe(facts_folder, small_model, embeddings="full"))
    settings = recipe(facts_folder, small_model, embeddings="trimmed")
    training_data = data.load(settings)
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    texts = training_data.used_texts()
    used = sorted({t for side, ts in texts.items() for ids in encoder.tokenize(ts, side) for t in ids})
    encoder.trim(ids for side, ts in texts.items() for ids in encoder.tokenize(ts, side))
    example = Collator(training_data, encoder, 0, 0)(Plan(training_data.sources, settings.policy)(0))
    loss = backward(encoder, example, settings, Processes(), seed=3)
    assert loss == pytest.approx(full[0], abs=1e-6)
    word_gradient = next(g for name, g in full[1].items() if "word_embeddings" in name)
    torch.testing.assert_close(encoder.trained["words"].grad, word_gradient[used], atol=1e-5, rtol=0)


def test_words_of_hard_negatives_are_trained_and_their_cuts_counted(small_model: Path, tmp_path: Path) -> None:
    """If the run uses them, and only those of questions that have an answer."""
    questions = [Text(f"q{n}", "en", f"g{n}", f"who {n}?") for n in range(4)] + [Text("open", "en", "o", "why?")]
    passages = [Text(f"p{n}", "en", f"h{n}", f"nobody {n}") for n in range(4)]
    passages += [Text("wrong", "en", "w", "zebra " * 20), Text("unused", "en", "u", "quagga")]
    judged = [(f"q{n}", f"p{n}", 1) for n in range(4)] + [("q1", "wrong", 0), ("open", "unused", 0)]
    Collection.build("animals", questions, passages, judged).save(tmp_path / "animals")
    settings = recipe(tmp_path / "animals", small_model, hard_negatives=1, embeddings="trimmed", max_length=64)
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    for count in (1, 0):
        read = data.load(replace(settings, hard_negatives=count))
        assert read.used_texts()["passage"] == [f"nobody {n}" for n in range(4)] + ["zebra " * 20] * count
        assert len(read.cut_notes(encoder)) == count


def test_a_neighbours_hard_negative_from_the_own_group_is_ignored(facts_folder: Path, small_model: Path) -> None:
    settings = recipe(facts_folder, small_model, hard_negatives=1, batch_size=20)
    training_data = data.load(settings)
    encoder = TrainableEncoder(open_model(settings.model, CPU)[0], settings, CPU)
    batch = Plan(training_data.sources, settings.policy)(0)
    example = Collator(training_data, encoder, 1, 0)(batch)
    assert example.ignored is not None
    held = training_data.collections[0]
    group_of = held.questions["group"].take(batch.questions).to_pylist()
    extra = len(example.passages) - len(batch.passages)
    assert extra == len(batch.questions)
    # The hard negative of a topic is the passage of the topic before it.
    wanted = sum(TOPICS[TOPICS.index(group) - 1] in group_of for group in group_of)
    assert example.ignored.sum() == wanted


def test_a_neighbours_hard_negative_that_answers_the_own_question_is_ignored() -> None:
    """So is a translation of an answer that nobody judged, but not one that is judged irrelevant to the question."""
    questions = [Text("q1", "en", "q1", "Who sings?"), Text("q2", "en", "q2", "Who is swimming?")]
    passages = [
        Text("first", "en", "sing", "Birds sing."), Text("second", "en", "trill", "Larks trill."),
        Text("translated", "de", "sing", "Vögel singen."), Text("other", "en", "swim", "Fish swim."),
        Text("wrong", "en", "fly", "Flies can fly."), Text("refused", "fr", "sing", "Les oiseaux chantent."),
    ]  # fmt: skip
    judged = [("q1", "first", 1), ("q1", "second", 1), ("q2", "other", 1)]
    judged += [("q1", "refused", 0)]
    judged += [("q2", name, 0) for name in ("second", "translated", "wrong")]
    collection = Collection.build("songs", questions, passages, judged)
    source = TrainingTable.from_collection(collection)
    tokenizer: Any = SimpleNamespace(tokenize=lambda texts, _: [[len(text)] for text in texts])
    wrong = data.hard_negatives_of(collection)
    collator = Collator(data.TrainingData((collection,), (source,), None, (wrong,)), tokenizer, 3, 0)
    example = collator(Plan([source], Policy("mono", batch_size=2))(0))
    by_length = {len(passage.text): passage.id for passage in passages}
    names = [by_length[tokens[0]] for tokens in example.passages]
    asked = [{len(each.text): each.id for each in questions}[tokens[0]] for tokens in example.questions]
    assert example.ignored is not None
    ignored = {(asked[row], names[column]) for row, column in zip(*np.nonzero(example.ignored), strict=True)}
    assert ignored == {("q1", "second"), ("q1", "translated")}


@pytest.mark.parametrize("way", ["of the answer", "of the translation", "of a translation that nobody judged"])
def test_a_copy_of_the_own_answer_is_no_negative(way: str) -> None:
    """Though it is in another group, and was judged irrelevant to the other question of the batch."""
    copied = {"of the answer": "the  lake lies north.", "of the translation": "Der See liegt im Norden."}
    questions = [Text("q1", "en", "g1", "Where is the lake?"), Text("q2", "en", "g2", "Where is the river?")]
    passages = [
        Text("answer", "en", "h1", "The lake lies north."), Text("german", "de", "h1", "Der See liegt im Norden."),
        Text("other", "en", "h2", "The river is in the south."), Text("far", "en", "h4", "A forest."),
        Text("copy", "en", "h0", copied.get(way, "North is where the lake lies.")),
        Text("bridge", "de", "h0", "der See liegt im Norden." if way not in copied else "Ein Berg."),
    ]  # fmt: skip
    judged = [("q1", "answer", 1), ("q2", "other", 1), ("q2", "copy", 0), ("q2", "far", 0)]
    collection = Collection.build("lakes", questions, passages, judged)
    source = TrainingTable.from_collection(collection)
    tokenizer: Any = SimpleNamespace(tokenize=lambda texts, _: [[len(text)] for text in texts])
    wrong = data.hard_negatives_of(collection)
    collator = Collator(data.TrainingData((collection,), (source,), None, (wrong,)), tokenizer, 2, 0)
    batch = Plan([source], Policy("mono", batch_size=2))(0)
    example = collator(batch)
    assert example.ignored is not None
    first = batch.questions.tolist().index(0)
    row = {kind: marks[first].tolist() for kind, marks in (("own", example.positive), ("ignored", example.ignored))}
    # Both answers, then the two hard negatives of the other question in the order of the collection.
    assert row["own"] == [first == 0, first == 1, False, False]
    copy, far = (example.passages[2:].index([len(passages[at].text)]) + 2 for at in (4, 3))
    assert [column for column, ignored in enumerate(row["ignored"]) if ignored] == [copy]
    assert far != copy
    # To the question that they were judged irrelevant to, both are negatives.
    assert not example.ignored[1 - first].any()
