"""The bundled model's transformer in OpenVINO at bfloat16, behind panglot's own tokens and batches.

Needs ``pip install openvino``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot.encoders._batches import token_batches
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

if TYPE_CHECKING:
    import torch


class OpenVino(SentenceTransformerEncoder):
    """Texts sorted by tokens and batched by a token budget as panglot does it; padded, and averaged over tokens."""

    def __init__(self, model: str) -> None:
        from importlib import import_module

        import torch

        openvino: Any = import_module("openvino")
        super().__init__(model, precision="fp32")
        network = self.model[0].auto_model.eval()
        ids = torch.ones((2, 8), dtype=torch.int64)
        converted = openvino.convert_model(network, example_input={"input_ids": ids, "attention_mask": ids})
        threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
        self.compiled: Any = openvino.compile_model(converted, "CPU", settings)
        self.name = self.fingerprint = "openvino"

    def _chunk(self, texts: list[str], side: Any) -> Iterator[tuple[np.ndarray[Any, Any], torch.Tensor]]:
        import torch

        tokens = self._tokens(texts, side)
        for batch in token_batches([len(text) for text in tokens], self.batch_tokens):
            rows = [tokens[row] for row in batch]
            ids = np.ones((len(rows), max(map(len, rows))), np.int64)  # 1 is the padding's id.
            mask = np.zeros_like(ids)
            for at, row in enumerate(rows):
                ids[at, : len(row)] = row
                mask[at, : len(row)] = 1
            hidden = torch.from_numpy(self.compiled({"input_ids": ids, "attention_mask": mask})[0])
            weight = torch.from_numpy(mask)[:, :, None].float()
            yield batch, (hidden * weight).sum(1) / weight.sum(1)
