"""Apertium, the rule-based engine that Debian and others package, as a subprocess."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from panglot._errors import PanglotError
from panglot._files import digest, file_digest
from panglot.augment.translation.protocol import EngineError, checked
from panglot.corpus.language import canonical

# What the stream format means by itself.
_RESERVED = re.compile(r"[\\\[\]{}$/<>@*#+]")
# Escaped or not, a tilde wakes the post-generator and a caret may swallow its block: each travels as a letter for
# private use.
_TRAVELS = {"~": "\U000f007e", "^": "\U000f005e"}
_OUT, _BACK = str.maketrans({**_TRAVELS, "\0": None}), str.maketrans({there: here for here, there in _TRAVELS.items()})
_WRITTEN = re.compile(r"\\(.)|\[((?:[^\]\\]|\\.)*)\]")
_FILES = re.compile(r"'(/[^']+)'")


class Apertium:
    """Every direction of the Apertium that is installed.

    Sentences go in apart, each a block that the whole pipeline flushes at a NUL, in Apertium's own stream format:
    none sees its neighbours, words that Apertium does not know stay as they are, without its asterisk.

    Args:
        program: The program's name or path.
        timeout: Seconds to wait for a batch.

    Raises:
        PanglotError: It is not installed.
    """

    name = "apertium"

    def __init__(self, program: str = "apertium", *, batch_size: int = 400, timeout: float = 600.0) -> None:
        found = shutil.which(program)
        if found is None:
            cure = "install it with pairs of languages, such as `apt-get install apertium apertium-eng-spa`"
            raise PanglotError(f"no program {program}", field="engine", cure=cure)
        self.program, self.batch_size, self.timeout = found, batch_size, timeout

    @cached_property
    def modes(self) -> dict[tuple[str, str], str]:
        """The name of the mode of each direction."""
        found: dict[tuple[str, str], str] = {}
        for mode in sorted(self._run(["-l"]).stdout.decode("utf-8", "replace").split(), key=len):
            if pair := direction(mode):
                found.setdefault(pair, mode)
        return found

    def serves(self, source: str, target: str) -> bool:
        """Whether one language can be translated into the other."""
        return (source, target) in self.modes

    def targets(self, source: str) -> Sequence[str]:
        """What a language can be translated into."""
        return [target for known, target in self.modes if known == source]

    def version(self, source: str, target: str) -> str:
        """The release and a digest of the direction's data files."""
        mode = self.modes[source, target]
        release = self._run(["-V"]).stdout.decode().split()[-1:] or ["unknown"]
        return f"{release[0]}+{mode}.{_data_digest(mode)}"

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[str]:
        """Translate sentences, in their order."""
        # The blank at the end of a block saves its final stop, and tells whether a block was swallowed.
        stream = "".join(f"{to_stream(sentence)}[{row}]\0" for row, sentence in enumerate(sentences))
        done = self._run(["-u", "-z", "-f", "none", self.modes[source, target]], stream.encode())
        # The pipeline may flush once more for each of its parts at the end.
        blocks = [block.strip() for block in done.stdout.decode("utf-8", "replace").split("\0") if block.strip()]
        marks = [f"[{row}]" for row in range(len(sentences))]
        whole = len(blocks) == len(marks) and all(map(str.endswith, blocks, marks))
        if done.returncode != 0 or not whole:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
            problem = f"apertium died (status {done.returncode})" if done.returncode else "apertium lost a sentence"
            raise EngineError(f"{problem} {said}".strip(), cure="try again")
        # A sentence may be nothing but what the pair's rules drop: it stays as it was.
        found = [from_stream(block.removesuffix(mark)) for block, mark in zip(blocks, marks, strict=True)]
        return checked([a or b for a, b in zip(found, sentences, strict=True)], len(sentences), self.name)

    def _run(self, arguments: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(  # noqa: S603
                [self.program, *arguments], input=given, capture_output=True, timeout=self.timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"apertium gave no answer: {error}", cure="try again") from error


@lru_cache(maxsize=64)
def direction(mode: str) -> tuple[str, str] | None:
    """Return the languages of a mode's name; None for variants that no language code tells apart.

    >>> direction("eng-cat_valencia"), direction("es-pt_BR"), direction("spa-cat_iec2017")
    (('en', 'ca-valencia'), ('es', 'pt-BR'), None)
    """
    source, dash, target = mode.partition("-")
    if not dash or mode.endswith(("_iec2017", "_uni")):
        return None
    try:
        return canonical(source), canonical(target)
    except PanglotError:
        return None


def to_stream(text: str) -> str:
    r"""Return a text in Apertium's stream format.

    >>> to_stream("C++ [1]")
    'C\\+\\+ \\[1\\]'
    """
    return _RESERVED.sub(r"\\\g<0>", text.translate(_OUT))


def from_stream(block: str) -> str:
    r"""Return the text of a block of Apertium's stream format, with single blanks.

    >>> from_stream(" C\\+\\+  \\[1\\][]")
    'C++ [1]'
    """
    plain = _WRITTEN.sub(lambda found: found[1] or found[2] or "", block)
    return " ".join(plain.translate(_BACK).split())


@lru_cache(maxsize=64)
def _data_digest(mode: str) -> str:
    folder = Path(os.environ.get("APERTIUM_DATADIR") or "/usr/share/apertium")
    try:
        pipeline = (folder / "modes" / f"{mode}.mode").read_text("utf-8")
        files = sorted(set(_FILES.findall(pipeline)))
        return digest(pipeline, *(file_digest(path) for path in files))[:12]
    except OSError:
        return "unknown"
