"""Generate JSON lines in eight languages, with two versions per group, for measurements at scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from panglot._files import atomic_file

LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "ru", "zh")
_ALPHABETS = {
    "ar": "ابتثجحخدرزسشصطعفقكلمنهوي",
    "hi": "अआइईउएकखगघचछजटडतथदनपबमयरलवसह",
    "ru": "абвгдежзиклмнопрстуфхцчшя",
    "zh": "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对",
}
_LATIN = "abcdefghijklmnopqrstuvwxyzäéñ"
_FRAGMENTS = 4096
_PIECE = 100_000


def make(path: Path, rows: int, seed: int = 0) -> None:
    """Write ``rows`` lines of ``group, language, question, passage``; passages have about 100 characters.

    Every group has two versions in two languages. They are far apart, as in files that were concatenated by language:
    all first versions come first, then all second ones.
    """
    random = np.random.default_rng((seed, 0))
    pools = {code: _fragments(_ALPHABETS.get(code, _LATIN), random) for code in LANGUAGES}
    half = rows // 2
    with atomic_file(path) as part, part.open("w", encoding="utf-8") as out:
        for start in range(0, rows, _PIECE):
            size = min(_PIECE, rows - start)
            drawn = np.random.default_rng((seed, 1, start)).integers(0, _FRAGMENTS, (size, 4)).tolist()
            number = range(start, start + size)
            group = [n if n < half else n - half for n in number]
            # The shift of 1 to 7 gives every group two different languages.
            code = [LANGUAGES[(g + (1 + g // 8 % 7) * (n >= half)) % 8] for g, n in zip(group, number, strict=True)]
            out.writelines(
                f'{{"group": "g{g}", "language": "{x}", "question": "{pools[x][d[0]]} {n}?", '
                f'"passage": "{pools[x][d[1]]} {pools[x][d[2]]} {pools[x][d[3]]} {n}."}}\n'
                for n, g, x, d in zip(number, group, code, drawn, strict=True)
            )


def _fragments(letters: str, random: np.random.Generator) -> list[str]:
    """Return fragments of about 30 characters."""
    words = ["".join(random.choice(list(letters), random.integers(2, 9))) for _ in range(1000)]
    return [" ".join(words[w] for w in random.integers(0, len(words), 6)) for _ in range(_FRAGMENTS)]
