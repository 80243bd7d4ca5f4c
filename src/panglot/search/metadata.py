"""What an index folder says of itself in ``index.json``, and how its model and its store are opened by that."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot import __version__
from panglot._errors import PanglotError
from panglot._files import write_json
from panglot.encoders.load import load
from panglot.encoders.protocol import LanguageAware
from panglot.search.storage.store import check_encoded, check_same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.storage.store import Store

NAME, FORMAT = "index.json", 1
PROBE = "In which language is the answer?"
ALIKE = 0.99
"""Cosine of the probe's vectors above which two models are one: bfloat16 and float32 give .9999."""


@dataclass(frozen=True)
class IndexMetadata:
    """What ``index.json`` holds.

    Attributes:
        model: What :func:`panglot.load` opens; empty for an encoder that was given as an object.
        name: The encoder's name.
        fingerprint: Of the encoder of plain vectors.
        probe: Its vector of :data:`PROBE` as a query.
        dimension: Length of the vectors.
        vector_fields: Names of the vector fields of the store.
        store: Where it is; empty: in the folder.
        documents: How many there were when it was built.
        panglot: Version of panglot that built it.
        format: Of the folder.
    """

    model: str
    name: str
    fingerprint: str
    probe: tuple[float, ...]
    dimension: int
    vector_fields: tuple[str, ...]
    store: str
    documents: int
    panglot: str = __version__
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Write it, last of all: from then on the folder is an index."""
        write_json(folder / NAME, asdict(self))

    @classmethod
    def open(cls, folder: Path) -> IndexMetadata:
        """Read it.

        Raises:
            PanglotError: The folder is no index, or not one of this format.
        """
        path = folder / NAME
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            found["probe"] = tuple(map(float, found["probe"]))
            # Until November 2026, the vector fields were called spaces.
            found["vector_fields"] = tuple(map(str, found.pop("spaces", None) or found["vector_fields"]))
            metadata = cls(**found)
        except (FileNotFoundError, NotADirectoryError) as error:
            half = (folder / "shards").is_dir()
            hint = "run the same `panglot index` again" if half else "build one with `panglot index`"
            raise PanglotError(
                "the index is only half built" if half else "no index here", file=folder, hint=hint
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PanglotError(f"damaged: {error}", file=path, hint="build the index again") from error
        if metadata.format != FORMAT:
            raise PanglotError(
                f"written by panglot {metadata.panglot} in another format", file=path, hint="build the index again"
            )
        return metadata


def is_index(folder: str | Path) -> bool:
    """Return whether a folder contains a complete index."""
    return (Path(folder) / NAME).is_file()


def open_encoder(model: str | Path | Encoder, backend: str = "torch") -> tuple[Encoder, Encoder, str]:
    """Return an encoder, the one behind it that gives plain vectors, and the name by which it opens again.

    Raises:
        PanglotError: The model cannot be opened, or one that is open already was to run in a backend.
    """
    named = isinstance(model, str | Path)
    if not named and backend != "torch":
        raise PanglotError(
            "an encoder object has its backend already", field="backend", hint="load it with this backend"
        )
    encoder = load(model, backend=backend) if named else model
    base = encoder.base if isinstance(encoder, LanguageAware) else encoder
    if not named:
        return encoder, base, ""
    return encoder, base, str(Path(model).resolve()) if Path(model).is_dir() else str(model)


def open_store(
    address: str, folder: Path, *, vector_fields: Sequence[str], dimension: int, create: bool = False
) -> Store:
    """Open the store of an index.

    Args:
        address: Empty for the embedded store in ``folder``; ``milvus://host:port/name`` for a Milvus server;
            ``milvus:FILE.db/name`` for milvus-lite. ``?index=flat`` behind either makes its search exact.
        folder: Folder of the embedded store, which contains nothing else.
        vector_fields: Names of its vector fields.
        dimension: Length of its vectors.
        create: Make it if it is not there.

    Raises:
        PanglotError: It is not there, is damaged, has other vector fields or another dimension, or does not answer.
    """
    if not address:
        from panglot.search.storage.local.store import EmbeddedStore

        if create:
            EmbeddedStore.create(folder, vector_fields=vector_fields, dimension=dimension).close()
        store = EmbeddedStore(folder)
        check_same("vector_fields", store.vector_fields, tuple(vector_fields), folder)
        check_same("dimension", store.dimension, dimension, folder)
        return store
    if address.startswith("milvus:"):
        from panglot.search.storage.milvus.store import MilvusStore

        return MilvusStore(address, vector_fields=vector_fields, dimension=dimension, create=create)
    raise PanglotError(
        f"the address of a store must begin with milvus:, got {address}", field="store",
        hint="leave it out, or write milvus://host:port/name",
    )  # fmt: skip


def probed(base: Encoder) -> tuple[float, ...]:
    """Return an encoder's vector of :data:`PROBE`."""
    found = check_encoded(base.encode([PROBE], "question"), [PROBE], base, "question")
    return tuple(round(float(number), 6) for number in found[0])


def check_model(metadata: IndexMetadata, base: Encoder, folder: Path) -> None:
    """Make sure that queries are encoded as the documents were.

    Raises:
        PanglotError: The encoder gives other vectors than the one that the index was built with.
    """
    if base.fingerprint == metadata.fingerprint:
        return
    vector: Vectors = base.encode([PROBE], "question")[0]
    if len(vector) != metadata.dimension or float(vector @ np.asarray(metadata.probe)) < ALIKE:
        raise PanglotError(
            f"the index was built with {metadata.name}, and {base.name} is not a copy of it",
            file=folder, field="model", hint=f"open it with {metadata.model or 'that encoder'}",
        )  # fmt: skip
