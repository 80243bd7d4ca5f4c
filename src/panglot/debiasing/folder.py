"""The folder of a debiased model, for panglot and for plain sentence-transformers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_folder, write_json, write_text
from panglot.debiasing import transform
from panglot.encoders.cache import folder_digest, model_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from panglot.debiasing.transform import Debiasing

MODEL = "model"
"""The subfolder that holds the model as it was."""

_OURS = "panglot.debiasing.module"
_THEIRS = "sentence_transformers.models"


def is_debiased(folder: Path) -> bool:
    """Whether :func:`write` made ``folder``."""
    return (folder / transform.HEAD).is_file()


def write(output: Path, base: Path, remedy: Debiasing, about: Mapping[str, Any]) -> None:
    """Write a folder with the model of the folder ``base``, linked where the file system can, and its remedy.

    Raises:
        PanglotError: ``output`` exists or cannot be written, or the model cannot carry a remedy.
    """
    refuse_existing(output)
    modules = modules_of(base, remedy.method)
    with atomic_folder(output) as part:
        for path in model_files(base):
            target = part / MODEL / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(path.resolve(), target)
        if not remedy.needs_language:
            _write_dense(part / "remedy", remedy)
        transform.save(remedy, part, {**about, "model": {**about["model"], "digest": folder_digest(part / MODEL)}})
        settings = base / "config_sentence_transformers.json"
        if settings.is_file():
            shutil.copyfile(settings, part / settings.name)
        write_json(part / "modules.json", modules)
        write_text(part / "README.md", _card(output, remedy, about))


def open_remedy(folder: Path) -> Debiasing:
    """Return the remedy of a debiased folder.

    Raises:
        PanglotError: A file is damaged, or the model is not the one that the remedy was fitted on.
    """
    remedy, head = transform.read(folder)
    model = head.get("model")
    if not isinstance(model, dict) or model.get("digest") != folder_digest(folder / MODEL):
        raise PanglotError(
            "the model here is not the one that the remedy was fitted on",
            file=folder / MODEL,
            hint="put the model's own files back, or run `panglot debias` again",
        )
    return remedy


def refuse_existing(output: Path) -> None:
    """Say so if something is at ``output``.

    Raises:
        PanglotError: It is.
    """
    if output.exists():
        raise PanglotError("there is something here already", file=output, hint="remove it or choose another --output")


def modules_of(base: Path, method: str) -> list[dict[str, Any]]:
    """Return the ``modules.json`` of the model in ``base`` with the remedy behind it.

    LSAR is a matrix, which sentence-transformers has a module for. The other methods need the text's language, so
    that the first module becomes ours, which keeps the text, and ours comes last.

    Raises:
        PanglotError: The model has no ``modules.json``, has modules of its own, or does not begin with a transformer.
    """
    file = base / "modules.json"
    hint = "save it with SentenceTransformer(…).save_pretrained, or choose another model"
    try:
        given: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
        kinds = [str(module["type"]) for module in given]
        found = [{**module, "path": _inside(str(module["path"]))} for module in given]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"no list of modules: {error}", file=file, hint=hint) from error
    if not found or any(not kind.startswith("sentence_transformers.") for kind in kinds):
        raise PanglotError("a remedy goes with sentence-transformers' own modules only", file=file, hint=hint)
    if method == "lsar":
        return [*found, _module(len(found), "remedy", f"{_THEIRS}.Dense"),
                _module(len(found) + 1, "normalize", f"{_THEIRS}.Normalize")]  # fmt: skip
    if not kinds[0].endswith(".Transformer"):
        raise PanglotError(
            f"its first module is {kinds[0].rpartition('.')[2]}, behind which the text's language is not known",
            file=file,
            hint="use lsar, or a transformer",
        )
    first = {**found[0], "type": f"{_OURS}.TextTransformer"}
    return [first, *found[1:], _module(len(found), "", f"{_OURS}.DebiasingModule")]


def _inside(path: str) -> str:
    return f"{MODEL}/{path}" if path else MODEL


def _module(number: int, path: str, kind: str) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": path, "type": kind}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another device, or a file system without links.
        shutil.copyfile(source, target)


def _write_dense(folder: Path, remedy: Debiasing) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    basis = remedy.subspace.astype(np.float64)
    weight = (np.eye(remedy.dimension) - basis.T @ basis).astype(np.float32)
    save_file({"linear.weight": weight}, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    size = {"in_features": remedy.dimension, "out_features": remedy.dimension}
    write_json(
        folder / "config.json",
        {**size, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"},
    )


def _card(output: Path, remedy: Debiasing, about: Mapping[str, Any]) -> str:
    trust = ", trust_remote_code=True" if remedy.needs_language else ""
    needs = (
        "Plain sentence-transformers needs panglot installed beside it and `trust_remote_code=True`, which lets it"
        " import panglot's two modules; no code lies in this folder. Languages are detected, or given for a whole"
        f' call: `encode_query(texts, language="{remedy.languages[0]}")`. Without panglot, open the folder `{MODEL}`'
        " for the model as it was."
        if remedy.needs_language
        else "Plain sentence-transformers opens it; panglot need not be installed."
    )
    sets = ", ".join(f"{each['name']} ({each['licence'] or 'licence not stated'})" for each in about.get("on", ()))
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: ["sentence-transformers", "feature-extraction", "panglot", "multilingual", "retrieval"]
language: {json.dumps(list(remedy.languages))}
---

# {output.name}

`{about["model"]["name"]}` with its language bias reduced by `{remedy.method}`, without training, fitted by
[panglot](https://github.com/panglot/panglot) on {sets or "unlabelled text"}. `remedy.json` says how.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{output}"{trust})
questions = model.encode_query(["Where does the river end?"])
```

{needs}
"""
