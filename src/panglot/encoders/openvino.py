"""Run models in OpenVINO, which is somewhat faster than torch on CPUs with bfloat16, at the same accuracy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError
from panglot._files import digest
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder, token_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from panglot.encoders.protocol import Side

_STEP = 8
"""Batches are padded to a multiple of this many tokens, because kernels keep memory for every new shape."""


class OpenVinoEncoder(SentenceTransformerEncoder):
    """Encode with a sentence-transformers model whose transformer runs in OpenVINO.

    Opening takes some seconds longer, because the model is converted. Needs ``pip install 'panglot[openvino]'``.

    Raises:
        PanglotError: As for the base class, or OpenVINO is not installed, the device is not a CPU, or the model is not
            BERT- or RoBERTa-like with mean or first-token pooling.
    """

    def _prepare(self) -> None:
        require("this backend", "openvino", extra="openvino", field="backend", otherwise="leave the backend out")
        if self.device.type != "cpu":
            raise PanglotError(f"OpenVINO does not run on {self.device}", field="backend", hint="set the device cpu")
        if not self._pooling:
            problem = f"{self.name} is not a BERT- or RoBERTa-like model with mean or first-token pooling"
            raise PanglotError(problem, field="backend", hint="leave the backend out")
        self.fingerprint = digest("openvino", self.fingerprint)
        import torch

        openvino: Any = import_module("openvino")
        network: Any = self.model[0].auto_model
        ones = torch.ones((2, _STEP), dtype=torch.int64)
        converted = openvino.convert_model(network, example_input={"input_ids": ones, "attention_mask": ones})
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._network: Any = openvino.compile_model(converted, "CPU", hints)
        self._padding = int(network.config.pad_token_id or 0)

    def _chunk(self, texts: list[str], side: Side) -> Iterator[tuple[np.ndarray[Any, Any], torch.Tensor]]:
        import torch

        tokens = self._tokens(texts, side)
        for batch in token_batches([len(text) for text in tokens], self.batch_tokens):
            longest = max(len(tokens[row]) for row in batch)
            shape = len(batch), longest + -longest % _STEP
            ids, real = np.full(shape, self._padding, np.int64), np.zeros(shape, np.int64)
            for at, row in enumerate(batch):
                ids[at, : len(tokens[row])] = tokens[row]
                real[at, : len(tokens[row])] = 1
            hidden = torch.from_numpy(self._network({"input_ids": ids, "attention_mask": real})[0])
            weight = torch.from_numpy(real)[:, :, None].float()
            pooled = (hidden * weight).sum(1) / weight.sum(1) if self._pooling == "mean" else hidden[:, 0]
            features = {"sentence_embedding": pooled}
            for module in list(self.model)[2:]:
                features = module(features)
            yield batch, features["sentence_embedding"]
