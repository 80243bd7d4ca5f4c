"""TyDi QA, gold passages (arXiv 2003.05002)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from panglot._errors import PanglotError
from panglot.corpus import squad
from panglot.corpus._folder import files, plain_name
from panglot.corpus.collection import Collection
from panglot.corpus.language import canonical

_NAMES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id",
    "korean": "ko", "russian": "ru", "swahili": "sw", "telugu": "te",
}  # fmt: skip
_FILE = re.compile(r"tydiqa\.goldp\.(\w+)\.(?:dev|train)|([a-z]+)_tydiqa_train|tydiqa-goldp-dev-([a-z]+)")


def read(
    folder: Path,
    *,
    name: str = "tydiqa-goldp",
    part: str = "dev",
    candidates: str = "paragraph",
    context: bool = False,
    about: Mapping[str, str] | None = None,
) -> Collection:
    """Read the ``dev`` or the ``train`` part: distinct gold passages as a pool, one question each or more.

    The languages are not parallel: every question and every passage is a group of its own. For training rows
    the files in ``train-orig-ids`` are preferred, for XTREME's copies in ``train`` have ids that repeat.
    Marks of bold type, left over in some contexts (mostly a lone ``</b>``), are taken out.

    Raises:
        PanglotError: A file is broken or missing.
    """
    place = folder / part
    if part == "train" and (folder / "train-orig-ids").is_dir():
        place = folder / "train-orig-ids"
    found: list[tuple[Path, str]] = []
    for path in files(place, "*tydiqa*.json"):
        match = _FILE.fullmatch(plain_name(path))
        if match is None:
            raise PanglotError("not a name of TyDi QA", file=path, cure="call it tydiqa.goldp.XX.dev.json")
        code = next(group for group in match.groups() if group)
        found.append((path, canonical(_NAMES.get(code, code))))
    return squad.collect(
        name,
        found,
        candidates=candidates,
        context=context,
        clean=lambda text: text.replace("<b>", "").replace("</b>", ""),
        about={**(about or {}), "part": part},
    )
