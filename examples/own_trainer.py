"""Train with sentence-transformers' own trainer on panglot's hybrid batches."""

import sys
import tempfile

from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

import panglot
from panglot.batching import Policy, make_batch_sampler
from panglot.encoders.model_folders import shipped_folder

MODEL = sys.argv[1] if len(sys.argv) > 1 else str(shipped_folder("bundled"))
STEPS = 4  # a real run takes hundreds

model = SentenceTransformer(MODEL)
policy = Policy("hybrid", alpha=0.5, batch_size=16)
train_dataset, batch_sampler = make_batch_sampler([panglot.read("starter:train")], policy, steps=STEPS)

with tempfile.TemporaryDirectory() as folder:
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            batch_sampler=batch_sampler,
            prompts={"question": "query: ", "passage": "passage: "},
            logging_steps=1,
            report_to="none",
        ),
        train_dataset=train_dataset,
        loss=MultipleNegativesRankingLoss(model),
    )
    trainer.train()
    print(f"{trainer.state.global_step} steps of hybrid batches")
