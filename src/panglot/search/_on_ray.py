"""Shards made by Ray Data on the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.corpus.on_ray import cluster
from panglot.encoders.progress import progress
from panglot.search._shards import Shard, Shelf
from panglot.search._worker import packed, work

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors

_TEXTS = pa.list_(pa.string())
_TASK = pa.schema([("key", pa.string()), ("ids", _TEXTS), ("texts", _TEXTS), ("languages", _TEXTS)])
_DONE = pa.schema([("key", pa.string()), ("data", pa.binary()), ("error", pa.string())])

WAVE = 8
"""Shards of each processor that are sent at a time."""


def on_ray(encoder: Encoder, shelf: Shelf, address: str, shards: Iterator[Shard]) -> Iterator[tuple[Shard, Vectors]]:
    """Yield each shard with its vectors, in order; those that are not on the shelf are made in Ray's workers.

    Texts go to the workers and shards come back, so that the nodes need no folder in common; they need panglot, and
    the model under the same name. A shard is a task for one processor, or for one GPU where the cluster has some.
    The shards that come back are kept in whatever order they do.

    Args:
        encoder: What makes vectors.
        shelf: Where shards are kept.
        address: ``ray://host:port``; empty: the cluster that runs here, else a new one.
        shards: The shards.

    Raises:
        PanglotError: Ray is not installed, does not answer, or a task fails.
    """
    for shard in shards:
        vectors = shelf.get(shard)
        if vectors is None:
            # Ray is not asked for before there is work for it.
            with cluster(address, "encoding on a cluster") as ray:
                yield from _made(ray, encoder, shelf, chain([shard], shards))
        else:
            yield _advanced(shard, vectors)


def _made(ray: Any, encoder: Encoder, shelf: Shelf, shards: Iterator[Shard]) -> Iterator[tuple[Shard, Vectors]]:
    ray.data.DataContext.get_current().execution_options.preserve_order = False
    there = ray.cluster_resources()
    need = "GPU" if there.get("GPU", 0) >= 1 else "CPU"
    sent = packed(encoder)
    while wave := list(islice(shards, WAVE * max(1, int(there.get(need, 1))))):
        found = {shard.key: shelf.get(shard) for shard in wave}
        lacking = {shard.key: shard for shard in wave if found[shard.key] is None}
        coming = _rows(ray, sent, list(lacking.values()), {f"num_{need.lower()}s": 1})
        for shard in wave:
            while (vectors := found[shard.key]) is None:
                key, data = next(coming)
                found[key] = shelf.put(lacking[key], data)
            yield _advanced(shard, vectors)


def _advanced(shard: Shard, vectors: Vectors) -> tuple[Shard, Vectors]:
    with progress("encoding", None) as advance:
        advance(len(vectors))
    return shard, vectors


def _rows(ray: Any, encoder: bytes, shards: list[Shard], options: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Yield key and data of each shard, as they come."""
    if not shards:
        return
    # A table is a task.
    tasks = ray.data.from_arrow([_task(shard) for shard in shards])
    done = tasks.map_batches(partial(_work, encoder), batch_size=1, batch_format="pyarrow", **options)
    try:
        for table in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in table.to_pylist():
                if row["error"]:
                    raise PanglotError(row["error"])
                yield row["key"], row["data"]
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise PanglotError(
            f"encoding in Ray's workers failed: {last}", field="on", cure="install the same panglot on all nodes"
        ) from error


def _task(shard: Shard) -> pa.Table:
    row = {"key": shard.key, "ids": shard.ids, "texts": shard.texts, "languages": shard.languages}
    return pa.Table.from_pylist([row], _TASK)


def _work(encoder: bytes, shards: pa.Table) -> pa.Table:
    """Make shards; a user's mistake comes back as a row of its own, since Ray would wrap it."""
    rows: list[dict[str, Any]] = []
    for row in shards.to_pylist():
        try:
            rows.append({"data": work(encoder, **row), "error": ""})
        except PanglotError as error:
            rows.append({"data": b"", "error": str(error)})
        rows[-1]["key"] = row["key"]
    return pa.Table.from_pylist(rows, _DONE)
