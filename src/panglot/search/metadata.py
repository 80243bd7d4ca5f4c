"""Read and write ``index.json``, and open the model and the store that it names."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from panglot._environment import __version__
from panglot._errors import PanglotError
from panglot._files import atomic_folder, lock, write_json
from panglot.debiasing import correction
from panglot.debiasing.correction import Debiased
from panglot.encoders.load import load
from panglot.encoders.protocol import LanguageAware
from panglot.search.storage import manifest
from panglot.search.storage.store import check_build, check_encoded, check_same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.storage.store import Store

NAME, FORMAT = "index.json", 1
OF_DOCUMENTS = "the documents"
"""What ``debiasing.json`` says that centering was fitted on, unless the model brought its own debiasing."""

_PROBE = "In which language is the answer?"
_ALIKE = 0.99  # Cosine of the probe's vectors above which two models are one. bf16 and fp32 give .9999, int8 .9997.


@dataclass(frozen=True)
class IndexMetadata:
    """What ``index.json`` holds."""

    model: str  # What panglot.load opens. Empty for an encoder that was given as an object.
    name: str  # Of the encoder.
    fingerprint: str  # Of the encoder of plain vectors.
    probe: tuple[float, ...]  # Its vector of _PROBE as a query.
    dimension: int
    vector_fields: tuple[str, ...]
    store: str  # Address of the store. Empty if it is in the folder.
    documents: int  # How many there were when the index was built.
    build: str = ""  # Differs in each index that is built. Empty in those of the first version.
    digest: str = ""  # Of the documents that it holds. Empty after a change, and in indexes of the first version.
    panglot: str = __version__
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        """Write it, last of all, because from then on the folder is an index."""
        write_json(folder / NAME, asdict(self))

    @classmethod
    def open(cls, folder: Path) -> IndexMetadata:
        """Read it from a folder."""
        path = folder / NAME
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if found["format"] > FORMAT:  # It may have other fields without being damaged.
                written = f"written by panglot {found.get('panglot')} in format {found['format']}"
                problem = f"{written}, and panglot {__version__} reads up to {FORMAT}"
                raise PanglotError(problem, file=path, hint="update panglot")
            found["probe"] = tuple(map(float, found["probe"]))
            # Until November 2026, the vector fields were called spaces.
            found["vector_fields"] = tuple(map(str, found.pop("spaces", None) or found["vector_fields"]))
            metadata = cls(**found)
        except (FileNotFoundError, NotADirectoryError) as error:
            half = (folder / "shards").is_dir()
            hint = "run the command that builds it again" if half else "build one with `panglot index`"
            if is_index(folder / "index"):  # The folder of a diagnosis.
                hint = f"name the one in it, {folder / 'index'}"
            problem = "the index is only half built" if half else "no index here"
            raise PanglotError(problem, file=folder, hint=hint) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PanglotError(f"damaged: {error}", file=path, hint="build the index again") from error
        return metadata

    def open_store(self, folder: Path) -> Store:
        """Open the store of the index in a folder."""
        fields, place = self.vector_fields, folder / "store"
        return open_store(self.store, place, vector_fields=fields, dimension=self.dimension, build=self.build)

    @classmethod
    def forget_documents(cls, folder: Path, build: str) -> None:
        """Note, before documents of an index change, that it no longer holds those of its digest."""
        with contextlib.suppress(PanglotError):  # Without readable metadata, there is nothing to forget.
            metadata = cls.open(folder)
            if metadata.digest and metadata.build == build:
                replace(metadata, digest="").save(folder)


def is_index(folder: str | Path) -> bool:
    """Return whether a folder contains a complete index, perhaps with a file missing.

    Other programs write an index.json too, such as Hugo for the search of a site.
    """
    folder = Path(folder)
    return (folder / NAME).is_file() and any((folder / name).exists() for name in ("store", correction.HEAD))


def snapshot(folder: str | Path, target: str | Path) -> None:
    """Write a copy of an index to a new folder, completely or not at all, while others read and write the index.

    Files that never change become hard links if the disk allows, so the copy takes little time and space, and is as
    independent as one by ``cp``. The words for hybrid search are left out. The first search that needs them makes them.

    Raises:
        PanglotError: There is no index, the target exists or cannot be written, or the documents are in Milvus.
    """
    folder, target = Path(folder).resolve(), Path(target)
    if IndexMetadata.open(folder).store:
        hint = "copy the folder, and use the backup of Milvus for the documents"
        raise PanglotError("the documents are not in the folder of the index", field="snapshot", hint=hint)
    if target.exists():
        raise PanglotError("there is something already", file=target, field="snapshot", hint="name a new folder")
    # The lock keeps writers from removing files of this version. They forget the digest before they change documents,
    # so a digest that is copied under the lock is that of the documents in the store.
    with atomic_folder(target) as part, lock(folder / "store" / "lock"):
        for path in folder.iterdir():
            if path.is_file():
                shutil.copy2(path, part / path.name)
        manifest.snapshot(folder / "store", part / "store")


def open_encoder(
    model: str | Path | Encoder, *, backend: str = "auto", precision: Precision = "auto"
) -> tuple[Encoder, Encoder, str]:
    """Return an encoder, the one behind it that gives plain vectors, and the name by which it opens again."""
    if isinstance(model, str | Path):
        # Endpoints and vectors have no such option.
        options: dict[str, Any] = {} if precision == "auto" else {"precision": precision}
        encoder = load(model, backend=backend, **options)
        name = str(Path(model).resolve() if Path(model).is_dir() else model)
    elif backend == "openvino" or precision != "auto":
        field = "backend" if backend == "openvino" else "precision"
        problem = f"an encoder object has its {field} already"
        raise PanglotError(problem, field=field, hint=f"load it with this {field}")
    else:
        encoder, name = model, ""
    return encoder, encoder.base if isinstance(encoder, LanguageAware) else encoder, name


def open_store(
    address: str, folder: Path, *, vector_fields: Sequence[str], dimension: int, build: str = "", create: bool = False
) -> Store:
    """Open the store of an index, or make it if it is not there and ``create`` is true.

    The address is empty for the embedded store, which has the folder for itself, ``milvus://host:port/name`` for a
    Milvus server or ``milvus:FILE.db/name`` for milvus-lite. ``?index=flat`` behind the first makes its search exact.

    Raises:
        PanglotError: It is not there, is damaged, has other vector fields or another dimension, belongs to another
            index than ``build``, or does not answer.
    """
    if not address:
        from panglot.search.storage.embedded import EmbeddedStore

        if create:
            EmbeddedStore.create(folder, vector_fields=vector_fields, dimension=dimension, build=build).close()
        store = EmbeddedStore(folder)
        check_same("vector_fields", store.vector_fields, tuple(vector_fields), folder)
        check_same("dimension", store.dimension, dimension, folder)
        check_build(store.build, build, folder)
        return store
    if address.startswith(("milvus:", "milvus+https:")):
        from panglot.search.storage.milvus import MilvusStore

        return MilvusStore(address, vector_fields=vector_fields, dimension=dimension, build=build, create=create)
    problem = f"the address of a store must begin with milvus:, got {address}"
    raise PanglotError(problem, field="store", hint="leave it out, or write milvus://host:port/name")


def probed(base: Encoder) -> tuple[float, ...]:
    """Return an encoder's vector of :data:`_PROBE`."""
    found = check_encoded(base.encode([_PROBE], "question"), [_PROBE], base, "question")
    return tuple(round(float(number), 6) for number in found[0])


def check_model(metadata: IndexMetadata, base: Encoder, folder: Path) -> None:
    """Refuse an encoder that gives other vectors than the one that the index was built with."""
    if base.fingerprint == metadata.fingerprint:
        return
    # The precision is part of a fingerprint, so that the same model on another machine may have another one.
    vector: Vectors = base.encode([_PROBE], "question")[0]
    if len(vector) != metadata.dimension or float(vector @ np.asarray(metadata.probe)) < _ALIKE:
        problem = f"the index was built with {metadata.name}, and {base.name} is not a copy of it"
        hint = f"open it with {metadata.model or 'that encoder'}"
        raise PanglotError(problem, file=folder, field="model", hint=hint)


def check_debiasing(encoder: Encoder, folder: Path, *, exactly: bool = False) -> None:
    """Refuse a debiased encoder whose debiasing the index does not have.

    With ``exactly``, refuse an encoder without debiasing too if the index was built with a debiased one.
    """
    debiasing, head = correction.read(folder, hint="build the index again")
    own = head.get("fitted_on", OF_DOCUMENTS)
    if isinstance(encoder, Debiased):
        same = own != OF_DOCUMENTS and Debiased(encoder.base, debiasing).fingerprint == encoder.fingerprint
    else:
        same = own == OF_DOCUMENTS or not exactly
    if not same:
        problem = f"the index was built with another debiasing than that of {encoder.name}"
        raise PanglotError(problem, file=folder, field="model", hint="build another index with this model")
