"""Encode with a sentence-transformers model whose transformer runs in OpenVINO, on request in int8."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import require
from panglot._errors import PanglotError
from panglot._files import digest
from panglot.encoders import packed
from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

if TYPE_CHECKING:
    import torch

    from panglot._environment import Precision

# Texts are padded to a multiple of so many tokens, because kernels keep memory for every new shape.
_STEP = 8

_GROUP = 64
"""Components of a token that share a scale in int8. Over 220 sentences of XQuAD-R, groups of 32, 64 and 128 took .67,
.59 and .56 of the time of fp32, and gave a mean cosine to fp32 of .99989, .99986 and .99981."""


class OpenVinoEncoder(SentenceTransformerEncoder):
    """Encode with a sentence-transformers model whose transformer runs in OpenVINO.

    Where ``auto`` is bf16, it is somewhat faster than torch, at the same accuracy. Opening takes some seconds longer,
    because the model is converted. Needs ``pip install 'panglot[openvino]'``.

    ``precision="int8"`` multiplies integers in linear layers: weights have one scale per output channel, activations
    one per 64 components of a token. Values of attention stay in ``fp32`` (cosine to ``fp32`` above .999). ``int8`` is
    faster than ``fp32``. Where ``auto`` takes ``bf16``, that is faster for documents and more exact. ``auto`` never
    chooses ``int8``.

    Raises:
        PanglotError: As for the base class, or OpenVINO is not installed, the device is not a CPU, or the model is not
            BERT- or RoBERTa-like with mean or first-token pooling.
    """

    def _check_backend(self, precision: Precision) -> None:
        # int8 chooses this backend by itself.
        what, self._field, self._instead = (
            ("int8", "precision", "use fp32 or bf16")
            if precision == "int8"
            else ("this backend", "backend", "leave the backend out")
        )
        require(what, "openvino", extra="openvino", field=self._field, otherwise=self._instead)
        if self.device.type != "cpu":
            problem, hint = f"OpenVINO does not run on {self.device}", f"set the device cpu, or {self._instead}"
            raise PanglotError(problem, field=self._field, hint=hint)

    def _prepare(self) -> None:
        if not self.pooling:
            problem = f"{self.name} is not a BERT- or RoBERTa-like model with mean or first-token pooling"
            raise PanglotError(problem, field=self._field, hint=self._instead)
        scheme = [f"groups of {_GROUP}", "values whole"] if self.precision == "int8" else []
        self.fingerprint = digest("openvino", self.fingerprint, *scheme)
        import torch

        openvino: Any = import_module("openvino")
        network: Any = self.model[0].auto_model
        ones = torch.ones((2, _STEP), dtype=torch.int64)
        converted = openvino.convert_model(network, example_input={"input_ids": ones, "attention_mask": ones})
        hints: dict[str, Any] = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        hints["INFERENCE_PRECISION_HINT"] = "bf16" if self.precision == "bf16" else "f32"
        if self.precision == "int8":
            quantize(converted)
            hints["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = _GROUP
        self._network: Any = openvino.compile_model(converted, "CPU", hints)
        self._padding = int(network.config.pad_token_id or 0)
        self._one = threading.Lock()  # All calls share the memory of one inference, which uses all cores anyway.

    def _embed(self, tokens: list[Any]) -> torch.Tensor:
        import torch

        longest = max(map(len, tokens))
        shape = len(tokens), longest + -longest % _STEP
        ids, real = np.full(shape, self._padding, np.int64), np.zeros(shape, np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            real[row, : len(text)] = 1
        with self._one:
            hidden = torch.from_numpy(self._network({"input_ids": ids, "attention_mask": real})[0])
        weight = torch.from_numpy(real)[:, :, None].float()
        pooled = (hidden * weight).sum(1) / weight.sum(1) if self.pooling == "mean" else hidden[:, 0]
        return packed.after_pooling(self.model, pooled)


def quantize(network: Any) -> None:
    """Replace the weights of a converted model's linear layers by 8-bit integers and a scale per output channel.

    The largest weight of a channel becomes ±127. Values of attention stay as they are: their twelfth of the products
    makes almost half of the error (1 − cosine of .00011 of .00024, mean over 220 sentences). OpenVINO recognises the
    pattern of constant, conversion and product, keeps the integers, and quantises activations while it runs.
    """
    op: Any = import_module("openvino").opset13
    for node in network.get_ordered_ops():
        if node.get_type_name() != "MatMul" or ".attention.self.value/" in node.get_friendly_name():
            continue
        source = node.input_value(1).get_node()
        if source.get_type_name() != "Constant" or len(source.get_output_shape(0)) != 2:
            continue  # Attention multiplies two activations.
        weights = source.get_data()
        largest = np.abs(weights).max(axis=1 if node.get_attributes()["transpose_b"] else 0, keepdims=True)
        scale = np.where(largest == 0, 1, largest).astype(np.float32) / 127
        codes = op.convert(op.constant(np.round(weights / scale).astype(np.int8)), "f32")
        node.input(1).replace_source_output(op.multiply(codes, op.constant(scale)).output(0))
