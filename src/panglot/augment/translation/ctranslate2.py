"""Sequence-to-sequence models (NLLB, M2M-100, OPUS-MT, MADLAD-400) converted for CTranslate2."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import Any

from panglot._errors import PanglotError
from panglot._files import digest, file_digest
from panglot.augment.translation.protocol import EngineError, checked
from panglot.corpus.language import canonical

#: Tokens that name a language: NLLB, M2M-100, MADLAD-400, OPUS-MT with several targets.
_TOKENS = (
    re.compile(r"([a-z]{3}_[A-Z][a-z]{3})"),
    re.compile(r"__([a-z]{2,3})__"),
    re.compile(r"<2([a-z]{2,3}(?:_[A-Z][a-z]{3})?)>"),
    re.compile(r">>([a-z]{2,3}(?:_[A-Z][a-z]{3})?)<<"),
)
_PAIR = re.compile(r"(?:opus-mt-)?(?:.*-)?([a-z]{2,3})-([a-z]{2,3})$")


class CTranslate2:
    """A folder that ``ct2-transformers-converter --copy_files`` wrote, with its SentencePiece models.

    Which family it is, is read from the vocabulary's tokens for languages: both sides name theirs in NLLB and
    M2M-100, the source names the target in MADLAD-400 and multilingual OPUS-MT; a model without any translates
    the pair that ends its folder's name (``opus-mt-en-es``).

    Args:
        folder: Holds ``model.bin`` and ``sentencepiece.bpe.model``, ``spiece.model`` or ``source.spm`` and
            ``target.spm``.
        batch_size: Sentences given at once; CTranslate2 cuts them by tokens.
        beam: Of the search.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        PanglotError: A package or a file is missing, or the languages cannot be told.
    """

    name = "ctranslate2"

    def __init__(self, folder: str | Path, *, batch_size: int = 256, beam: int = 4, device: str = "auto") -> None:
        self.folder, self.batch_size, self.beam, self.device = Path(folder), batch_size, beam, device
        for package in ("ctranslate2", "sentencepiece"):
            if util.find_spec(package) is None:
                cure = "pip install 'panglot[ctranslate2]'"
                raise PanglotError(f"{package} is not installed", field="engine", cure=cure)
        if not (self.folder / "model.bin").is_file():
            cure = "write one with ct2-transformers-converter --model NAME --output_dir FOLDER --copy_files …"
            raise PanglotError("no converted model (model.bin)", file=self.folder, cure=cure)
        self._family, self._languages = self._read_languages()

    def serves(self, source: str, target: str) -> bool:
        """Whether one language can be translated into the other."""
        return target in self.targets(source)

    def targets(self, source: str) -> Sequence[str]:
        """What a language can be translated into."""
        if self._family is None:
            known, target = self._languages
            return (target,) if source == known else ()
        if self._family < 2 and source not in self._languages:
            return ()
        return [code for code in self._languages if code != source]

    def version(self, source: str, target: str) -> str:  # noqa: ARG002
        """The release, the beam and a digest of the model."""
        return f"{metadata.version('ctranslate2')}+{self.folder.name}.{self._digest}.beam{self.beam}"

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Translate sentences, in their order."""
        before, prefix = self._marks(source, target)
        reader, writer = self._pieces
        tokens = [[*before, *reader.encode(sentence, out_type=str), "</s>"] for sentence in sentences]
        try:
            results = self._translator.translate_batch(
                tokens,
                target_prefix=[prefix] * len(tokens) if prefix else None,
                beam_size=self.beam,
                max_batch_size=2048,
                batch_type="tokens",
                max_input_length=512,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"ctranslate2: {error}", cure="try a smaller batch") from error
        found = [writer.decode(result.hypotheses[0][len(prefix) :]).strip() for result in results]
        return checked(found, len(sentences), self.name)

    def _marks(self, source: str, target: str) -> tuple[list[str], list[str]]:
        if self._family is None:
            return [], []
        if self._family < 2:
            return [self._languages[source]], [self._languages[target]]
        return [self._languages[target]], []

    def _read_languages(self) -> tuple[int | None, Any]:
        vocabulary = self._vocabulary()
        for family, pattern in enumerate(_TOKENS):
            found: dict[str, str] = {}
            for token in vocabulary:
                if match := pattern.fullmatch(token):
                    try:
                        found.setdefault(canonical(match[1]), token)
                    except PanglotError:
                        continue
            if found:
                return family, found
        if match := _PAIR.search(self.folder.name):
            return None, (canonical(match[1]), canonical(match[2]))
        cure = "name the folder after its pair, such as opus-mt-en-es"
        raise PanglotError("the model's languages cannot be told", file=self.folder, cure=cure)

    def _vocabulary(self) -> list[str]:
        for stem in ("shared_vocabulary", "source_vocabulary"):
            if (path := self.folder / f"{stem}.json").is_file():
                return [str(token) for token in json.loads(path.read_text("utf-8"))]
            if (path := self.folder / f"{stem}.txt").is_file():
                return path.read_text("utf-8").splitlines()
        raise PanglotError("no vocabulary", file=self.folder, cure="convert the model again")

    @cached_property
    def _digest(self) -> str:
        return digest(file_digest(self.folder / "model.bin"), *map(file_digest, self._models()))[:12]

    def _models(self) -> tuple[Path, Path]:
        for names in (("sentencepiece.bpe.model",), ("spiece.model",), ("source.spm", "target.spm")):
            paths = [self.folder / each for each in names]
            if all(path.is_file() for path in paths):
                return paths[0], paths[-1]
        cure = "copy sentencepiece.bpe.model, spiece.model or source.spm and target.spm of the model there"
        raise PanglotError("no SentencePiece model", file=self.folder, cure=cure)

    @cached_property
    def _pieces(self) -> tuple[Any, Any]:
        import sentencepiece

        first, last = (sentencepiece.SentencePieceProcessor(model_file=str(path)) for path in self._models())
        return first, last

    @cached_property
    def _translator(self) -> Any:
        import ctranslate2

        return ctranslate2.Translator(str(self.folder), device=self.device)
