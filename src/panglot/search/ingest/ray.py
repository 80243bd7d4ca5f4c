"""Shards made by Ray Data on the nodes of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from panglot._errors import PanglotError
from panglot._progress import progress as progress_bar
from panglot.data.ray import cluster
from panglot.search.ingest.encode import packed, work
from panglot.search.ingest.shards import Shard, ShardCache

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors

_DONE = pa.schema([("key", pa.string()), ("data", pa.binary()), ("error", pa.string())])

WAVE = 8
"""Shards of each processor that are sent at a time."""


def on_ray(
    encoder: Encoder, shelf: ShardCache, address: str, shards: Iterator[Shard]
) -> Iterator[tuple[Shard, Vectors]]:
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


def _made(ray: Any, encoder: Encoder, shelf: ShardCache, shards: Iterator[Shard]) -> Iterator[tuple[Shard, Vectors]]:
    there = ray.cluster_resources()
    need = "GPU" if there.get("GPU", 0) >= 1 else "CPU"
    driver = ray.remote(num_cpus=0)(Driver).remote(packed(encoder), {f"num_{need.lower()}s": 1})
    while wave := list(islice(shards, WAVE * max(1, int(there.get(need, 1))))):
        found = {shard.key: shelf.get(shard) for shard in wave}
        lacking = {shard.key: shard for shard in wave if found[shard.key] is None}
        coming = _rows(ray, driver, list(lacking.values()))
        for shard in wave:
            while (vectors := found[shard.key]) is None:
                key, data = next(coming)
                found[key] = shelf.put(lacking[key], data)
            yield _advanced(shard, vectors)


def _advanced(shard: Shard, vectors: Vectors) -> tuple[Shard, Vectors]:
    with progress_bar("encoding", None) as advance:
        advance(len(vectors))
    return shard, vectors


def _rows(ray: Any, driver: Any, shards: list[Shard]) -> Iterator[tuple[str, bytes]]:
    """Yield key and data of each shard, as they come."""
    if not shards:
        return
    try:
        ray.get(driver.begin.remote([_task(shard) for shard in shards]))
        for _ in shards:
            row = ray.get(driver.done.remote())
            if row["error"]:
                raise PanglotError(row["error"])
            yield row["key"], row["data"]
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise PanglotError(
            f"encoding in Ray's workers failed: {last}", field="on", hint="install the same panglot on all nodes"
        ) from error


class Driver:
    """What asks Ray Data to make shards, as an actor in the cluster: at the far end of ``ray://`` it does not run.

    Args:
        encoder: As it travels.
        options: What each task needs of a node.
    """

    def __init__(self, encoder: bytes, options: dict[str, int]) -> None:
        import ray.data

        self._encoder, self._options = encoder, options
        self._rows: Iterator[dict[str, Any]] = iter(())
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order, context.enable_progress_bars = False, False

    def begin(self, tasks: list[str]) -> None:
        """Begin with some tasks."""
        import ray.data

        rows: Any = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=len(tasks))
        made = rows.map_batches(partial(_work, self._encoder), batch_size=1, batch_format="pyarrow", **self._options)
        tables = made.iter_batches(batch_size=None, batch_format="pyarrow")
        self._rows = chain.from_iterable(table.to_pylist() for table in tables)

    def done(self) -> dict[str, Any]:
        """Return the row of a shard that has been made since: key, data and error."""
        return next(self._rows)


def _task(shard: Shard) -> str:
    told = {"key": shard.key, "ids": shard.ids, "texts": shard.texts, "languages": shard.languages}
    return json.dumps(told)


def _work(encoder: bytes, tasks: pa.Table) -> pa.Table:
    """Make shards; a user's mistake comes back as a row of its own, since Ray would wrap it."""
    rows: list[dict[str, str | bytes]] = []
    for text in tasks["task"].to_pylist():
        task = json.loads(text)
        try:
            rows.append({"key": task["key"], "data": work(encoder, **task), "error": ""})
        except PanglotError as error:
            rows.append({"key": task["key"], "data": b"", "error": str(error)})
    return pa.Table.from_pylist(rows, _DONE)
