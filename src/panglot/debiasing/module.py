"""The remedy as modules of sentence-transformers, for folders opened without panglot's own loader.

sentence-transformers 6 imports modules of other packages only with ``trust_remote_code=True``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from sentence_transformers.base.modules.module import Module
from sentence_transformers.sentence_transformer.modules import Transformer

from panglot.debiasing import transform
from panglot.debiasing.encoder import Languages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.debiasing.transform import Debiasing
    from panglot.encoders.protocol import Side

KEY = "panglot_texts"


class Said(NamedTuple):
    """What is known of a batch beside its tokens."""

    texts: tuple[str, ...]
    prompt: str
    task: str | None
    language: str | None


class TextTransformer(Transformer):
    """sentence-transformers' ``Transformer`` that hands the texts on to :class:`DebiasingModule`."""

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, processing_kwargs: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the features of the texts, and the texts with the ``language`` that was given for them."""
        language = kwargs.pop("language", None)
        features = super().preprocess(inputs, prompt, processing_kwargs, **kwargs)
        texts = tuple(text if isinstance(text, str) else "" for text in inputs)
        return {**features, KEY: Said(texts, prompt or "", kwargs.get("task"), language)}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the transformer, which must not see the texts."""
        known = features.pop(KEY, None)
        found: dict[str, Any] = super().forward(features, **kwargs)
        return found if known is None else {**found, KEY: known}


class DebiasingModule(Module):
    """Applies a remedy to the vectors of a batch; they come out at unit length, without gradients.

    The language is ``language`` where ``encode`` was given one, else detected text by text. The side is the
    question's under ``encode_query`` or the question prompt, as an argument or in the text, else the passage's.

    Args:
        remedy: The correction.
        head: What ``remedy.json`` says; its ``prompts`` are those of the model by side.
    """

    forward_kwargs = {"language"}  # noqa: RUF012

    def __init__(self, remedy: Debiasing, head: dict[str, Any]) -> None:
        super().__init__()
        self.remedy, self._head = remedy, head
        self._prompts: dict[str, str] = {side: str(text) for side, text in dict(head.get("prompts") or {}).items()}
        self._languages = Languages(remedy, "the remedy")

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Correct ``sentence_embedding``."""
        given: torch.Tensor = features["sentence_embedding"]
        known: Said = features.get(KEY) or Said(("",) * len(given), "", None, None)
        vectors = torch.nn.functional.normalize(given.detach().float(), dim=-1).cpu().numpy()
        sides: list[Side] = [self._side(text, known) for text in known.texts]
        said = None if known.language is None else [known.language] * len(sides)
        languages = self._languages.of(self._texts(known), said)
        for side in set(sides):
            rows = [row for row, each in enumerate(sides) if each == side]
            vectors[rows] = self.remedy.apply(vectors[rows], [languages[row] for row in rows], side)
        features["sentence_embedding"] = torch.from_numpy(vectors).to(given.device)
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the remedy's files."""
        Path(output_path).mkdir(parents=True, exist_ok=True)
        transform.save(self.remedy, Path(output_path), self._head)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,  # noqa: ARG003
        **_: Any,
    ) -> DebiasingModule:
        """Return the remedy in a model's folder."""
        found = [
            cls.load_file_path(model_name_or_path, name, subfolder, token, cache_folder, revision, local_files_only)
            for name in (transform.HEAD, transform.NUMBERS)
        ]
        return cls(*transform.read(Path(found[0]).parent if found[0] else Path(model_name_or_path) / subfolder))

    def _side(self, text: str, known: Said) -> Side:
        asks = self._prompts.get("question", "")
        if known.task in {"query", "document"}:
            return "question" if known.task == "query" else "passage"
        return "question" if asks and asks in {known.prompt, text[: len(asks)]} else "passage"

    def _texts(self, known: Said) -> list[str]:
        """Return the texts without a prompt that somebody wrote into them."""
        found = list(known.texts)
        for prompt in self._prompts.values():
            found = [text.removeprefix(prompt) for text in found]
        return found
