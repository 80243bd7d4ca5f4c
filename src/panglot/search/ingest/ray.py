"""Encode shards with Ray Data on the nodes of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from panglot._errors import PanglotError
from panglot.data.ray import cluster
from panglot.search.ingest.shards import Shard, ShardCache, advanced, pack, work

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder, Vectors

_DONE = pa.schema([("key", pa.string()), ("data", pa.binary()), ("error", pa.string())])

WAVE = 8
"""Shards per processor that are sent at a time."""


def on_ray(
    encoder: Encoder, cache: ShardCache, address: str, shards: Iterator[Shard]
) -> Iterator[tuple[Shard, Vectors]]:
    """Yield each shard with its vectors, in order; missing ones are made by Ray's workers.

    Texts go to the workers and shards come back, so that the nodes need no folder in common. They need panglot, and the
    model under the same name. A shard is a task for one processor, or for one GPU if the cluster has some. Shards are
    kept in the order in which they come back.

    Args:
        encoder: What makes vectors.
        cache: Where shards are kept.
        address: ``ray://host:port``; empty: the cluster that runs here, or else a new one.
        shards: The shards.

    Raises:
        PanglotError: Ray is not installed, does not answer, or a task fails.
    """
    for shard in shards:
        vectors = cache.get(shard)
        if vectors is None:
            # Connecting takes seconds, so that it waits until there is something to encode.
            with cluster(address, "encoding on a cluster") as ray:
                yield from _made(ray, encoder, cache, chain([shard], shards))
        else:
            yield advanced(shard, vectors)


def _made(ray: Any, encoder: Encoder, cache: ShardCache, shards: Iterator[Shard]) -> Iterator[tuple[Shard, Vectors]]:
    there = ray.cluster_resources()
    need = "GPU" if there.get("GPU", 0) >= 1 else "CPU"
    driver = ray.remote(num_cpus=0)(Driver).remote(pack(encoder), {f"num_{need.lower()}s": 1})
    while wave := list(islice(shards, WAVE * max(1, int(there.get(need, 1))))):
        found = {shard.key: cache.get(shard) for shard in wave}
        missing = {shard.key: shard for shard in wave if found[shard.key] is None}
        coming = _rows(ray, driver, list(missing.values()))
        for shard in wave:
            while (vectors := found[shard.key]) is None:
                key, data = next(coming)
                found[key] = cache.put(missing[key], data)
            yield advanced(shard, vectors)


def _rows(ray: Any, driver: Any, shards: list[Shard]) -> Iterator[tuple[str, bytes]]:
    """Yield key and data of each shard in the order in which they are made."""
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
    """Ask Ray Data to make shards, as an actor in the cluster, because Ray Data does not run behind ``ray://``.

    Args:
        encoder: The packed encoder.
        options: What each task needs of a node.
    """

    def __init__(self, encoder: bytes, options: dict[str, int]) -> None:
        import ray.data

        self._encoder, self._options = encoder, options
        self._rows: Iterator[dict[str, Any]] = iter(())
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order, context.enable_progress_bars = False, False

    def begin(self, tasks: list[str]) -> None:
        """Start some tasks."""
        import ray.data

        rows: Any = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=len(tasks))
        made = rows.map_batches(partial(_work, self._encoder), batch_size=1, batch_format="pyarrow", **self._options)
        tables = made.iter_batches(batch_size=None, batch_format="pyarrow")
        self._rows = chain.from_iterable(table.to_pylist() for table in tables)

    def done(self) -> dict[str, Any]:
        """Return the next row that was made: key, data and error of a shard."""
        return next(self._rows)


def _task(shard: Shard) -> str:
    return json.dumps({"key": shard.key, "ids": shard.ids, "texts": shard.texts, "languages": shard.languages})


def _work(encoder: bytes, tasks: pa.Table) -> pa.Table:
    """Make shards; a :class:`PanglotError` comes back as a row, because Ray would wrap the exception."""
    rows: list[dict[str, str | bytes]] = []
    for text in tasks["task"].to_pylist():
        task = json.loads(text)
        try:
            rows.append({"key": task["key"], "data": work(encoder, **task), "error": ""})
        except PanglotError as error:
            rows.append({"key": task["key"], "data": b"", "error": str(error)})
    return pa.Table.from_pylist(rows, _DONE)
