"""``panglot doctor``: show what panglot finds on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from panglot._environment import machine, versions
from panglot._errors import PanglotError
from panglot._files import cache_folder
from panglot.cli.options import data_dir_option, deliver_json, json_option


@click.command("doctor")
@data_dir_option
@json_option("the findings")
def doctor(data_dir: Path | None, to_json: str | None) -> None:
    """Show versions, devices, data sets, cache sizes and the folders of the models that come with panglot."""
    found = examine(data_dir)
    if deliver_json(found, to_json):
        click.echo(_as_text(found))


def examine(data_dir: Path | None = None) -> dict[str, Any]:
    """Return what ``panglot doctor --json`` writes.

    ``models`` has the ``path`` of the folder of each model that comes with panglot. The folder is made if needed. The
    path is null, with the reason in ``problem``, if it cannot be made. ``bundled_path`` and ``bundled_problem`` are
    those of the bundled model. Sizes are in bytes.
    """
    from panglot.datasets import registry
    from panglot.encoders.shipped import BUNDLED, SHIPPED

    models = {name: _model(name) for name in SHIPPED}
    return {
        "versions": versions(),
        "machine": machine(),
        **_torch(),
        "data_dir": str(data_dir or os.environ.get("PANGLOT_DATA") or "") or None,
        "data": {
            name: str(registry.find(card, data_dir) or "") or None if card.folder else "comes with panglot"
            for name, card in registry.CARDS.items()
        },
        "cache": str(cache_folder()),
        "cache_bytes": cache_sizes(),
        "models": models,
        "bundled_path": models[BUNDLED]["path"],
        "bundled_problem": models[BUNDLED]["problem"],
    }


def cache_sizes(folder: Path | None = None) -> dict[str, int]:
    """Return the size of each folder of the cache in bytes.

    >>> cache_sizes(Path("/no/such/folder"))
    {}
    """
    root = folder or cache_folder()
    parts = sorted(part for part in root.iterdir() if part.is_dir()) if root.is_dir() else []
    return {part.name: sum(_size(path) for path in part.rglob("*")) for part in parts}


def _model(name: str) -> dict[str, str | None]:
    from panglot.encoders import shipped

    try:
        return {"path": str(shipped.shipped_folder(name)), "problem": None}
    except PanglotError as error:
        return {"path": None, "problem": str(error)}


def _size(path: Path) -> int:
    # Another process may delete a file in the meantime.
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _torch() -> dict[str, Any]:
    """Return devices, threads and whether bfloat16 is fast, on which the speed of training and encoding depends."""
    try:
        import torch

        from panglot.encoders.open_model import choose_device, fast_bf16
    except (ImportError, OSError) as error:
        return {"devices": [], "device": None, "threads": None, "bf16": None, "torch_problem": str(error)}
    devices = ["cpu"]
    devices += [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    chosen = choose_device()
    return {"devices": devices, "device": str(chosen), "threads": torch.get_num_threads(), "bf16": fast_bf16(chosen),
            "torch_problem": None}  # fmt: skip


def _as_text(found: dict[str, Any]) -> str:
    machine_, cache = found["machine"], found["cache_bytes"]
    device = found["device"] or f"torch cannot be used: {found['torch_problem']}"
    bf16 = "bfloat16 is fast here" if found["bf16"] else "float32, as bfloat16 is not fast here"
    data = [f"{name:<18} {place or '–'}" for name, place in found["data"].items()]
    sizes = [f"{name:<18} {size / 1e6:,.1f} MB" for name, size in cache.items()] or ["empty"]
    sections = {
        "versions": [f"{name:<22} {version}" for name, version in found["versions"].items()],
        "machine": [
            f"{machine_['cores']} cores, {machine_['processor']}",
            f"devices: {', '.join(found['devices'])}. Used: {device}, {found['threads']} threads",
            bf16,
        ],
        f"data sets (folder: {found['data_dir'] or 'none, set --data-dir or PANGLOT_DATA'})": data,
        f"cache ({found['cache']})": sizes,
        "models of panglot": [
            f"{name:<18} {model['path'] or 'not usable: ' + model['problem']}"
            for name, model in found["models"].items()
        ],
    }
    return "\n".join(line for title, lines in sections.items() for line in (title, *(f"  {line}" for line in lines)))
