"""Run a debiasing as modules of sentence-transformers, for folders that panglot's own loader does not open.

sentence-transformers 6 imports modules of other packages only with ``trust_remote_code=True``. Folders name the two
classes by their full names, so that moving them breaks folders that users have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sentence_transformers.base.modules.module import Module
from sentence_transformers.sentence_transformer.modules import Transformer

from panglot.debiasing import correction
from panglot.debiasing.correction import Debiasing, Languages
from panglot.encoders.protocol import Side

# The feature under which TextTransformer passes the texts on.
_KEY = "panglot_texts"


class _Inputs(NamedTuple):
    """What is known of a batch beside its tokens."""

    texts: tuple[str, ...]
    prompt: str
    task: str | None
    language: str | None


class TextTransformer(Transformer):
    """Pass the texts of a batch on to :class:`DebiasingModule`, beside what ``Transformer`` does."""

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, processing_kwargs: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the features of the texts, and the texts with their ``language`` if it was given."""
        language = kwargs.pop("language", None)
        features = super().preprocess(inputs, prompt, processing_kwargs, **kwargs)
        texts = tuple(text if isinstance(text, str) else "" for text in inputs)
        return {**features, _KEY: _Inputs(texts, prompt or "", kwargs.get("task"), language)}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the transformer, which must not see the texts."""
        known = features.pop(_KEY, None)
        found: dict[str, Any] = super().forward(features, **kwargs)
        return found if known is None else {**found, _KEY: known}


class DebiasingModule(Module):
    """Debias the vectors of a batch. They get unit length and no gradients.

    The language is the argument ``language`` of ``encode``, else it is detected text by text. Texts are questions in
    ``encode_query`` or if they have the question prompt, as an argument or in the text. Otherwise they are passages.

    ``head`` is the content of ``debiasing.json``. Its ``prompts`` are the prompts of the model by side.
    """

    def __init__(self, debiasing: Debiasing, head: dict[str, Any]) -> None:
        super().__init__()
        # The arguments of `encode` that sentence-transformers passes on to `forward`.
        self.forward_kwargs = {"language"}
        self.debiasing, self._head = debiasing, head
        self._prompts: dict[str, str] = {side: str(text) for side, text in dict(head.get("prompts") or {}).items()}
        self._languages = Languages(debiasing, "the debiasing")

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Correct ``sentence_embedding``."""
        plain: torch.Tensor = features["sentence_embedding"]
        inputs: _Inputs = features.get(_KEY) or _Inputs(("",) * len(plain), "", None, None)
        # The debiasing is fitted on unit vectors of float32, whatever the precision of the model.
        vectors = torch.nn.functional.normalize(plain.detach().float(), dim=-1).cpu().numpy()
        sides: list[Side] = [self._side(text, inputs) for text in inputs.texts]
        given = None if inputs.language is None else [inputs.language] * len(sides)
        languages = self._languages.of(self._texts(inputs), given)
        for side in set(sides):
            rows = [row for row, each in enumerate(sides) if each == side]
            vectors[rows] = self.debiasing.apply(vectors[rows], [languages[row] for row in rows], side)
        features["sentence_embedding"] = torch.from_numpy(vectors).to(plain.device)
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the files of the debiasing."""
        Path(output_path).mkdir(parents=True, exist_ok=True)
        correction.save(self.debiasing, Path(output_path), self._head)

    @classmethod
    def load(
        cls, model_name_or_path: str, subfolder: str = "", token: bool | str | None = None,
        cache_folder: str | None = None, revision: str | None = None, local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None, **_: Any,  # noqa: ARG003  (the interface of sentence-transformers)
    ) -> DebiasingModule:  # fmt: skip
        """Return the debiasing in a model's folder."""
        found = [
            cls.load_file_path(model_name_or_path, name, subfolder, token, cache_folder, revision, local_files_only)
            for name in (correction.HEAD, correction.ARRAYS)
        ]
        return cls(*correction.read(Path(found[0]).parent if found[0] else Path(model_name_or_path) / subfolder))

    def _side(self, text: str, inputs: _Inputs) -> Side:
        prompt = self._prompts.get("question", "")
        if inputs.task in {"query", "document"}:
            return "question" if inputs.task == "query" else "passage"
        return "question" if prompt and prompt in {inputs.prompt, text[: len(prompt)]} else "passage"

    def _texts(self, inputs: _Inputs) -> list[str]:
        """Return the texts without prompts that the caller wrote into them, for the detection of languages."""
        found = list(inputs.texts)
        for prompt in self._prompts.values():
            found = [text.removeprefix(prompt) for text in found]
        return found
