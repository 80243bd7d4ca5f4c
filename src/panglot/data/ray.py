"""Read and check rows in Ray Data's workers, for :func:`panglot.data.ingest.ingest`."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from panglot._environment import require
from panglot._errors import PanglotError, first_line
from panglot.data.files import RowError, is_parquet, line_pieces, opened
from panglot.data.ingest import Reader
from panglot.data.row_columns import ROWS, Piece, check_lines, read_pieces, to_batch


@contextlib.contextmanager
def ray_reader(processors: int | None = None) -> Generator[Reader]:
    """Yield a function that reads a file of rows in Ray's workers, for ``ingest(read=…)``, with the same result.

    A plain file of JSON lines goes to the workers in pieces. Gzipped files and Parquet go to one worker each, because
    they cannot be cut. :func:`cluster` says which Ray and how many ``processors``: one is left for joining the rows.
    """
    if os.environ.get("RAY_ADDRESS", "").startswith("ray://"):
        hint = "run the command on one of its nodes, with RAY_ADDRESS=auto"
        problem = "Ray Data cannot read rows from outside a cluster"
        raise PanglotError(problem, field="RAY_ADDRESS", hint=hint)
    with cluster("", "reading rows in workers", processors):
        yield _read


@contextlib.contextmanager
def cluster(address: str, purpose: str, processors: int | None = None) -> Generator[Any]:
    """Connect to Ray and yield its module, with ``ray.data`` set to keep the order of blocks and to print nothing.

    The ``address`` is ``ray://host:port``. If it is empty, use the cluster that Ray is connected to, else the one of
    ``RAY_ADDRESS``, else a new one on this machine with ``processors`` (by default all but one), which is stopped
    afterwards. The ``purpose`` is what Ray is needed for, as error messages say it.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    require(purpose, "ray", "pandas", extra="ray", field="ray")  # ray.data imports pandas, which ray alone lacks
    import ray
    import ray.data

    ours = not ray.is_initialized()
    if ours:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        where = address or os.environ.get("RAY_ADDRESS") or "local"
        if where == "local":
            count = processors or max(1, (os.cpu_count() or 2) - 1)
            quiet |= {"num_cpus": count, "include_dashboard": False}
        try:
            ray.init(where, **quiet)
        except Exception as error:  # Ray raises no narrower one.
            what = f"the cluster {address} does not answer" if address else "Ray does not start"
            hint = "try again on a less busy machine, or leave Ray out"
            raise PanglotError(f"{what}: {first_line(error)}", field="ray", hint=hint) from error
    context = ray.data.DataContext.get_current()
    before = context.execution_options.preserve_order, context.enable_progress_bars
    context.execution_options.preserve_order, context.enable_progress_bars = True, False
    try:
        yield ray
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = before
        if ours:
            ray.shutdown()


def _read(path: Path) -> Iterator[Piece]:
    """Yield the rows that :func:`read_pieces` yields, in its order, and raise what it raises."""
    import ray.data

    tasks = ray.data.from_items([{"task": json.dumps(task)} for task in _tasks(path)])
    # Rows leave the workers as Arrow, and are never made into objects here.
    done = tasks.map_batches(_do, batch_size=1, batch_format="pyarrow")
    yield from _pieces(done.iter_batches(batch_size=None, batch_format="pyarrow"))


def _tasks(path: Path) -> Iterator[dict[str, Any]]:
    with opened(path) as stream:
        is_zipped = isinstance(stream, gzip.GzipFile)
    if is_zipped or is_parquet(path):
        yield {"path": str(path), "start": -1}
        return
    start = 0
    for line, data in line_pieces(path):
        yield {"path": str(path), "start": start, "size": len(data), "line": line}
        start += len(data)
    if not start:
        yield {"path": str(path), "start": -1}


def _do(tasks: pa.Table) -> Iterator[pa.Table]:
    """Do some tasks. What is wrong comes back in rows of its own, since Ray would wrap an exception."""
    schema = ROWS.append(pa.field("error", pa.string()))
    for text in tasks["task"].to_pylist():
        task = json.loads(text)
        errors: list[str] = []
        try:
            for piece in _task_pieces(Path(task["path"]), task):
                errors += [json.dumps(asdict(error)) for error in piece.errors]
                yield pa.table([*piece.rows.columns, pa.nulls(piece.rows.num_rows, pa.string())], schema=schema)
        except PanglotError as error:  # The file as a whole cannot be read.
            errors.append(json.dumps({**asdict(RowError.of(error)), "line": -1}))
        if errors:
            yield pa.table([*(pa.nulls(len(errors), field.type) for field in ROWS), pa.array(errors)], schema=schema)


def _task_pieces(path: Path, task: dict[str, Any]) -> Iterator[Piece]:
    if task["start"] < 0:
        yield from read_pieces(path)
        return
    with path.open("rb") as file:
        file.seek(task["start"])
        data = file.read(task["size"])
    yield check_lines(data, task["line"], path)


def _pieces(tables: Iterable[pa.Table]) -> Iterator[Piece]:
    """Yield the rows and errors in tables of done tasks."""
    for table in tables:
        errors = [RowError(**json.loads(text)) for text in table["error"].drop_null().to_pylist()]
        rows = table.filter(table["error"].is_null()).select(ROWS.names).cast(ROWS)
        yield from (Piece(batch) for batch in rows.to_batches())
        fatal = errors.pop() if errors and errors[-1].line < 0 else None
        if errors:
            yield Piece(to_batch([]), errors)
        if fatal is not None:
            raise replace(fatal, line=0).error()
