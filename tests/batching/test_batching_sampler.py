"""A real short training with sentence-transformers' trainer meets the batches of the plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from panglot._errors import PanglotError
from panglot.batching import Plan, Policy, TrainingTable
from panglot.batching import steps as steps_module
from panglot.batching.steps import PlannedBatches, make_batch_sampler
from panglot.data.collection import Collection, Text

# The trainer reports what it does through libraries that warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

LANGUAGES = ("de", "en", "fi")
POLICY = Policy("hybrid", batch_size=6, seed=4)
STEPS = 8


def small(name: str, groups: int) -> Collection:
    """Return a collection in which every text is one word of its own."""
    questions = [Text(f"q{g}{x}", x, f"g{g}", f"{name}q{g}{x}") for g in range(groups) for x in LANGUAGES]
    passages = [Text(f"p{g}{x}", x, f"g{g}", f"{name}p{g}{x}") for g in range(groups) for x in LANGUAGES]
    judged = [(f"q{g}{x}", f"p{g}{y}", 1) for g in range(groups) for x in LANGUAGES for y in LANGUAGES]
    return Collection.build(name, questions, passages, judged)


COLLECTIONS = [small("a", 20), small("b", 13)]


def expected(steps: int = STEPS) -> list[list[list[str]]]:
    """Return the texts of each step: ``[step][side][pair]``."""
    plan = Plan([TrainingTable.from_collection(collection) for collection in COLLECTIONS], POLICY)
    texts: list[list[list[str]]] = []
    for batch in map(plan, range(steps)):
        held = COLLECTIONS[batch.source]
        asked = held.questions["text"].take(batch.questions).to_pylist()
        texts.append([asked, held.passages["text"].take(batch.passages).to_pylist()])
    return texts


def tiny_model() -> Any:
    """Make a random BERT of two layers that knows each word of the collections."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = [w for c in COLLECTIONS for t in (c.questions, c.passages) for w in t["text"].to_pylist()]
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = Path(os.environ["PANGLOT_TEST_FOLDER"]) / "model"
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        size: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        BertModel(BertConfig(vocab_size=len(vocabulary), intermediate_size=32, **size)).save_pretrained(folder)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
        fast.save_pretrained(folder)
    transformer = Transformer(str(folder))
    return SentenceTransformer(modules=[transformer, Pooling(16)], device="cpu")


def trained(output: Path, *, resume: bool = False, **options: Any) -> list[list[list[str]]]:
    """Train and return the texts that reached the loss, as :func:`expected`."""
    import torch
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = tiny_model()
    met: list[list[list[str]]] = []

    class Watched(MultipleNegativesRankingLoss):
        def forward(self, sentence_features: Any, labels: Any) -> Any:
            if torch.is_grad_enabled():
                ids = [features["input_ids"][:, 0].tolist() for features in sentence_features]
                met.append([model.tokenizer.convert_ids_to_tokens(side) for side in ids])
            return super().forward(sentence_features, labels)

    train_dataset, batch_sampler = make_batch_sampler(COLLECTIONS, POLICY, STEPS)
    arguments: dict[str, Any] = {"save_strategy": "no", "num_train_epochs": 1, **options}
    args = SentenceTransformerTrainingArguments(
        output_dir=str(output),
        batch_sampler=batch_sampler,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        **arguments,
    )
    trainer = SentenceTransformerTrainer(model=model, args=args, train_dataset=train_dataset, loss=Watched(model))
    trainer.train(resume_from_checkpoint=resume or None)
    return met


@pytest.fixture(autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_TEST_FOLDER", str(tmp_path_factory.getbasetemp()))


def test_the_model_meets_the_batches_of_the_plan(tmp_path: Path) -> None:
    assert trained(tmp_path) == expected()


def test_a_resumed_training_meets_the_rest(tmp_path: Path) -> None:
    stopped = trained(tmp_path, max_steps=5, save_strategy="steps", save_steps=5)
    assert stopped == expected()[:5]
    assert trained(tmp_path, resume=True) == expected()[5:]


def test_a_second_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PanglotError, match="num_train_epochs=1 and plan more steps"):
        trained(tmp_path, num_train_epochs=2)


def test_accelerate_gives_each_process_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.data_loader import BatchSamplerShard

    dataset, batches = make_batch_sampler(COLLECTIONS, POLICY, STEPS)
    plan = Plan([TrainingTable.from_collection(collection) for collection in COLLECTIONS], POLICY)
    monkeypatch.setattr(steps_module, "_world", lambda: 3)
    whole = batches(dataset, 99, drop_last=False)
    for rank in range(3):
        # Without even_batches, as the trainer sets it.
        shard: Any = BatchSamplerShard(whole, num_processes=3, process_index=rank, even_batches=False)
        parts = list(shard)
        assert len(shard) == len(parts) == STEPS
        for k, rows in enumerate(parts):
            batch = plan(k)
            part = len(batch.passages) // 3
            mine = batch.passages[part * rank : part * (rank + 1)]
            texts = COLLECTIONS[batch.source].passages["text"].take(mine).to_pylist()
            assert dataset[rows]["passage"] == texts
    monkeypatch.setattr(steps_module, "_world", lambda: 7)
    with pytest.raises(PanglotError, match="7 processes"):
        next(iter(batches(dataset, 99, drop_last=False)))


@pytest.mark.slow
def test_two_processes_meet_the_batches_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANGLOT_TEST_FOLDER", str(tmp_path))
    tiny_model()
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        __file__,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(tmp_path)], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for k, texts in enumerate(expected()):
        even = len(texts[0]) // 2 * 2
        assert [ranks[0][k][side] + ranks[1][k][side] for side in (0, 1)] == [t[:even] for t in texts]


def test_an_evaluation_set_gets_the_usual_sampler() -> None:
    from sentence_transformers.base.sampler import DefaultBatchSampler

    from datasets import Dataset

    dataset, batches = make_batch_sampler(COLLECTIONS, POLICY, STEPS)
    other = Dataset.from_dict({"question": ["a", "b", "c"], "passage": ["d", "e", "f"]})
    usual = batches(other, 2, drop_last=False)
    assert isinstance(usual, DefaultBatchSampler)
    assert sorted(i for batch in usual for i in batch) == [0, 1, 2]
    with pytest.raises(PanglotError, match="as `make_batch_sampler` returned it"):
        batches(dataset.select(range(5)), 2, drop_last=False)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(PanglotError, match="one passage per question"):
        make_batch_sampler(COLLECTIONS, Policy("whole-group"), 3)
    with pytest.raises(PanglotError, match="at least 1, got 0"):
        make_batch_sampler(COLLECTIONS, POLICY, 0)


def test_the_sampler_travels_with_the_training_arguments() -> None:
    """Checkpoints hold the training arguments: what they hold must be small and picklable."""
    import pickle

    _, batches = make_batch_sampler(COLLECTIONS, POLICY, STEPS)
    copy = pickle.loads(pickle.dumps(batches))
    assert isinstance(copy, PlannedBatches)
    assert (copy.ends == batches.ends).all()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    steps = trained(folder / "output", ddp_backend="gloo")
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(steps))
