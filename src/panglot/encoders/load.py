"""Open the encoder that a user names."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from panglot.encoders.protocol import Encoder

BACKENDS = ("auto", "torch", "openvino")


def load(model: str | Path, *, backend: str = "torch", **options: Any) -> Encoder:
    """Return the encoder that ``model`` names.

    ============================  =============================================================
    ``bundled``                   multilingual-e5-small, which comes with the package
    ``panglot-small``             panglot's own, trained from it, if this installation has its weights
    a folder                      a sentence-transformers or transformers model, or one of ``panglot debias``
    ``owner/model``               one of the hub, fetched once
    ``http(s)://host/v1#name``    a model behind an OpenAI-compatible endpoint
    ``vectors:FOLDER`` or NPZ     vectors computed elsewhere
    ============================  =============================================================

    Args:
        model: A name from the table.
        backend: The library that runs the transformer of a model: ``torch``, or ``openvino``, which is somewhat faster
            on CPUs (``pip install 'panglot[openvino]'``). ``auto`` uses numpy until there is much to encode, and does
            not import torch before, if the model is a supported one and no option but ``name`` is given. See
            :mod:`panglot.encoders.light.encoder`.
        options: Arguments of the encoder's class. Models take ``device``, ``precision``, ``max_length``,
            ``batch_tokens``, ``trust_remote_code`` and ``name``. See :mod:`panglot.encoders.sentence_transformer`,
            :mod:`panglot.encoders.endpoint` and :mod:`panglot.encoders.vectors`.

    Raises:
        PanglotError: There is no such model, it cannot be loaded safely, or an option is unknown.
    """
    text = str(model)
    if not text:
        raise PanglotError("no model was named", field="model", hint="name a folder, or bundled")
    if backend not in BACKENDS:
        raise PanglotError(f"unknown backend {backend!r}", field="backend", hint=f"use one of {', '.join(BACKENDS)}")
    if backend == "openvino" and text.startswith(("vectors:", "http://", "https://")):
        raise PanglotError(f"{text} does not run on this machine", field="backend", hint="leave the backend out")
    if text.startswith("vectors:"):
        from panglot.encoders.vectors import PrecomputedVectors

        return _make(PrecomputedVectors, text.removeprefix("vectors:"), options)
    if text.startswith(("http://", "https://")):
        from panglot.encoders.endpoint import EndpointEncoder

        return _make(EndpointEncoder, text, options)
    from panglot.encoders.sentence_transformer import OpenVinoEncoder, SentenceTransformerEncoder
    from panglot.encoders.shipped import SHIPPED

    kind: Callable[..., Encoder] = OpenVinoEncoder if backend == "openvino" else SentenceTransformerEncoder
    if backend == "auto" and options.keys() <= {"name"}:
        from panglot.encoders.light.encoder import open_light

        kind = open_light
    if text in SHIPPED:
        return _make(kind, text, options)
    folder = Path(model).expanduser()
    # "remedy.json" is what folders written before version 0.1 have.
    if any((folder / name).is_file() for name in ("debiasing.json", "remedy.json")):
        # Debiasing is a later stage, but a user opens every model by this one function.
        from panglot.debiasing.folder import MODEL, open_debiasing
        from panglot.debiasing.transform import Debiased

        named = {"name": folder.name} | options
        debiasing = open_debiasing(folder)
        return Debiased(_make(kind, folder / MODEL, named), debiasing, name=named["name"])
    return _make(kind, model, options)


def _make(kind: Callable[..., Encoder], model: str | Path, options: dict[str, Any]) -> Encoder:
    # Without the first parameter, which is the model itself.
    known = list(inspect.signature(kind).parameters)[1:]
    for name in options:
        if name not in known:
            raise PanglotError(f"{model} has no option `{name}`", field=name, hint=f"use one of {', '.join(known)}")
    return kind(model, **options)
