"""Write and open the folder of a debiased model, which plain sentence-transformers opens too."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from panglot._errors import PanglotError
from panglot._files import atomic_folder, shareable, write_json, write_text
from panglot.debiasing import correction
from panglot.debiasing.correction import Debiasing
from panglot.encoders.model_folders import make_portable, origin_of
from panglot.encoders.model_folders import metadata as card_metadata
from panglot.encoders.open_model import folder_digest, model_files

#: The subfolder of the model as it was.
MODEL = "model"

_DENSE = "debiasing"
_OURS = "panglot.debiasing.module"
_THEIRS = "sentence_transformers.models"
_NORMALIZE = f"{_THEIRS}.Normalize"


def is_debiased(folder: Path) -> bool:
    """Whether ``folder`` holds a debiased model."""
    return correction.files_in(folder)[0].is_file()


def write(output: Path, base: Path, debiasing: Debiasing, metadata: Mapping[str, Any]) -> None:
    """Write a folder with the model of the folder ``base`` and its debiasing.

    Files of the model are hard links if the file system allows them.
    """
    refuse_existing(output)
    modules = modules_of(base, debiasing.method, by_language=debiasing.needs_language)
    with atomic_folder(output) as part:
        for path in model_files(base):
            target = part / MODEL / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Files of the hub's cache are symbolic links. The hard link must be to the file behind them.
            try:
                os.link(path.resolve(), target)
            except OSError:  # Another device, or a file system without links.
                shutil.copyfile(path, target)
        make_portable(part / MODEL)
        if not debiasing.needs_language:
            _write_dense(part / _DENSE, debiasing)
        model = {**metadata["model"], "digest": folder_digest(part / MODEL)}
        # The digest of the model shows later whether somebody has replaced it under its debiasing.
        correction.save(debiasing, part, {**metadata, "model": model})
        metadata = {**metadata, "model": {**metadata["model"], "name": shareable(metadata["model"]["name"])}}
        settings = base / "config_sentence_transformers.json"
        if settings.is_file():
            shutil.copyfile(settings, part / settings.name)
        write_json(part / "modules.json", modules)
        write_text(part / "README.md", _card(output, base, debiasing, metadata))


def open_debiasing(folder: Path) -> Debiasing:
    """Return the debiasing of a folder, or refuse it if the model is not the one that it was fitted on."""
    debiasing, head = correction.read(folder)
    model = head.get("model")
    if not isinstance(model, dict) or model.get("digest") != folder_digest(folder / MODEL):
        hint = "restore the files of the model, or run `panglot debias` again"
        raise PanglotError("this model is not the one that the debiasing was fitted on", file=folder / MODEL, hint=hint)
    return debiasing


def refuse_existing(output: Path) -> None:
    """Refuse to overwrite ``output``."""
    if output.exists():
        raise PanglotError("the output exists already", file=output, hint="remove it or choose another --output")


def modules_of(base: Path, method: str, *, by_language: bool) -> list[dict[str, Any]]:
    """Return the ``modules.json`` of the model in ``base`` with the debiasing at its end.

    An affine map for all languages is a linear layer, for which sentence-transformers has a module. If the debiasing
    is ``by_language``, the first module is replaced by one of panglot, which passes the text on to panglot's last
    module. Models with modules of their own, or that then do not begin with a transformer, are refused.
    """
    file = base / "modules.json"
    hint = "save the model with SentenceTransformer(…).save_pretrained, or choose another model"
    try:
        entries: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
        kinds = [str(module["type"]) for module in entries]
        # The first module often has an empty path, which is the model's folder itself.
        found = [{**module, "path": "/".join(filter(None, (MODEL, str(module["path"]))))} for module in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PanglotError(f"the list of modules cannot be read: {error}", file=file, hint=hint) from error
    if not found or any(not kind.startswith("sentence_transformers.") for kind in kinds):
        raise PanglotError("only models with sentence-transformers' own modules are debiased", file=file, hint=hint)
    if not by_language:
        more = [(_DENSE, f"{_THEIRS}.Dense"), ("normalize", _NORMALIZE)]
        # The layer may have a bias, which is fitted on vectors of unit length.
        if not kinds[-1].endswith(".Normalize"):
            more.insert(0, ("unit", _NORMALIZE))
        return [*found, *(_module(number, *each) for number, each in enumerate(more, len(found)))]
    if not kinds[0].endswith(".Transformer"):
        problem = f"the first module must be a Transformer for {method}, got {kinds[0].rpartition('.')[2]}"
        raise PanglotError(problem, file=file, hint="use lsar or leace, or a transformer")
    first = {**found[0], "type": f"{_OURS}.TextTransformer"}
    return [first, *found[1:], _module(len(found), "", f"{_OURS}.DebiasingModule")]


def _module(number: int, path: str, kind: str) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": path, "type": kind}


def _write_dense(folder: Path, debiasing: Debiasing) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    weight, bias = debiasing.affine()
    arrays = {"linear.weight": weight} if bias is None else {"linear.weight": weight, "linear.bias": bias}
    floats = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    save_file(floats, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    size = {"in_features": debiasing.dimension, "out_features": debiasing.dimension}
    identity = "torch.nn.modules.linear.Identity"
    write_json(folder / "config.json", {**size, "bias": bias is not None, "activation_function": identity})


def _card(output: Path, base: Path, debiasing: Debiasing, metadata: Mapping[str, Any]) -> str:
    trust = ", trust_remote_code=True" if debiasing.needs_language else ""
    needs = (
        "Plain sentence-transformers needs panglot installed and `trust_remote_code=True`, which allows it to import"
        " two modules of panglot. This folder holds no code. Languages are detected, or given for a whole call:"
        f' `encode_query(texts, language="{debiasing.languages[0]}")`. Without panglot, open the folder `{MODEL}` for'
        " the model as it was."
        if debiasing.needs_language
        else "Plain sentence-transformers opens this folder without panglot."
    )
    sets = ", ".join(f"{each['name']} ({each['licence'] or 'licence not stated'})" for each in metadata.get("on", ()))
    method = f"`{debiasing.method}`" + (f" at strength {debiasing.strength:g}" if debiasing.strength < 1 else "")
    if debiasing.whiten is not None:
        method += f" and whitening within translations (shrinkage {debiasing.whiten:g})"
    origin = origin_of(metadata["model"]["name"], base)
    known = [(str(each["name"]), {"source": str(each.get("source", ""))}) for each in metadata.get("on", ())]
    return f"""---
{card_metadata(output.name, origin, debiasing.languages, known)}
---

# {output.name}

`{metadata["model"]["name"]}` with its language bias reduced by {method}, without training, fitted by
[panglot](https://github.com/panglot/panglot) on {sets or "unlabelled text"}. `{correction.HEAD}` has the settings.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{output.name}"{trust})  # the path of this folder
questions = model.encode_query(["Where does the river end?"])
```

{needs}
"""
