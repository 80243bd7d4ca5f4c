"""From what a user writes to an encoder."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder


ENGINES = ("torch", "openvino")


def load(model: str | Path, *, engine: str = "torch", **options: Any) -> Encoder:
    """Return the encoder that ``model`` names.

    ============================  =============================================================
    ``bundled``                   multilingual-e5-small, which comes with the package
    a folder                      a sentence-transformers or transformers model, or one of ``panglot debias``
    ``owner/model``               one of the hub, fetched once
    ``http(s)://host/v1#name``    a model behind an OpenAI-compatible endpoint
    ``vectors:FOLDER`` or NPZ     vectors computed elsewhere
    ============================  =============================================================

    Args:
        model: One of these.
        engine: What runs the transformer of a model: ``torch``, or ``openvino``, which is somewhat faster on processors
            (``pip install 'panglot[openvino]'``).
        options: Of the encoder's class: for models ``device``, ``precision``, ``max_length``,
            ``batch_tokens``, ``trust_remote_code`` and ``name``; see
            :mod:`panglot.encoders.sentence_transformer`, :mod:`panglot.encoders.endpoint` and
            :mod:`panglot.encoders.vectors`.

    Raises:
        PanglotError: There is no such model, it cannot be loaded safely, or it does not know an option.
    """
    text = str(model)
    if not text:
        raise PanglotError("no model was named", field="model", hint="name a folder, or bundled")
    if engine not in ENGINES:
        raise PanglotError(f"unknown engine {engine!r}", field="engine", hint=f"use one of {', '.join(ENGINES)}")
    if engine != "torch" and text.startswith(("vectors:", "http://", "https://")):
        raise PanglotError(f"nothing of {text} runs here", field="engine", hint="leave the engine out")
    if text.startswith("vectors:"):
        from panglot.encoders.vectors import PrecomputedVectors

        return _make(PrecomputedVectors, text.removeprefix("vectors:"), options)
    if text.startswith(("http://", "https://")):
        from panglot.encoders.endpoint import EndpointEncoder

        return _make(EndpointEncoder, text, options)
    from panglot.encoders.sentence_transformer import SentenceTransformerEncoder

    kind = SentenceTransformerEncoder
    if engine == "openvino":
        from panglot.encoders.openvino import OpenVinoEncoder

        kind = OpenVinoEncoder
    if text == "bundled":
        return _make(kind, text, options)
    folder = Path(model).expanduser()
    if (folder / "remedy.json").is_file():
        # A stage that comes later: the one door for all names opens what it makes too.
        from panglot.debiasing.encoder import Debiased
        from panglot.debiasing.folder import MODEL, open_remedy

        named = {"name": folder.name} | options
        remedy = open_remedy(folder)
        return Debiased(_make(kind, folder / MODEL, named), remedy, name=named["name"])
    return _make(kind, model, options)


def _make(kind: type[Any], model: str | Path, options: dict[str, Any]) -> Encoder:
    known = list(inspect.signature(kind).parameters)[1:]
    for name in options:
        if name not in known:
            raise PanglotError(f"{model} has no option {name!r}", field=name, hint=f"use one of {', '.join(known)}")
    return kind(model, **options)
