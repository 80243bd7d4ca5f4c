"""``panglot languages`` and ``panglot doctor``: what panglot has for languages, in lexicons, and on the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot._environment import machine, versions
from panglot._errors import PanglotError
from panglot._files import cache_folder, write_text
from panglot.cli import options
from panglot.cli.options import OUTPUT_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from panglot.encoders.tokenizers import Counter, Price
    from panglot.translation.engines import Engine

#: Sentences of a language that its script is recognized by.
_SAMPLE = 200


@click.command("languages")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--model", default="bundled", help="Model whose tokenizer to measure.")
@click.option("--markdown", type=OUTPUT_FILE, help="File for the page of languages.")
@options.data_dir_option
@options.json_option()
def languages_command(
    codes: tuple[str, ...], model: str, markdown: Path | None, data_dir: Path | None, to_json: str | None
) -> None:
    """Show what panglot has for each CODE, or for all languages of all known data sets.

    The table has the name, script, direction and family, the data sets with the language, and the entries of lexicons
    and the translation routes that are available. It also compares the tokens of the model's tokenizer with those of
    the same text in English, and counts letters that the tokenizer does not know.
    """
    import datetime as dt

    from panglot.report.languages_page import languages_to_markdown
    from panglot.translation.local import open_engines

    try:
        engines = open_engines(["auto"])
    except PanglotError:  # none is installed, and the table then has no routes
        engines = []
    facts = machine()
    found: dict[str, Any] = {
        "command": options.command_line(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{facts['cores']} cores, {facts['processor']}",
        **profiles(codes, model=model, data_dir=data_dir, engines=engines, progress=options.progress_to(to_json)),
    }
    text_wanted = options.deliver_json(found, to_json)
    if markdown is not None:
        write_text(markdown, languages_to_markdown(found))
    if text_wanted:
        _print(found)


def profiles(
    codes: Sequence[str] = (), *, model: str = "bundled", data_dir: str | Path | None = None,
    engines: Sequence[Engine] = (), progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Return what ``panglot languages --json`` writes.

    ``languages`` has a dictionary per code: the attributes of :class:`panglot.datasets.catalog.LanguageFacts`, then
    ``tokens``, ``lexicons`` and ``routes``. ``tokens`` holds the set it was measured on (``on``) and the attributes of
    :class:`panglot.encoders.tokenizers.Price`, or is null if no parallel text is available. ``lexicons`` counts usable
    entries by lexicon. ``routes`` holds the route from English ``into`` the language and ``out`` of it, or null.

    ``codes`` are languages in any style. Without any, those of all known data sets and available lexicons are taken.
    """
    import dataclasses
    from itertools import islice

    from panglot.augment import lexicons
    from panglot.data.language import canonical
    from panglot.datasets import registry
    from panglot.datasets.catalog import CARDS, facts, known_languages
    from panglot.datasets.translations import SETS
    from panglot.encoders.tokenizers import open_counter

    wanted = {canonical(code) for code in codes}
    counter = open_counter(model)
    available = [name for name in lexicons.KNOWN if lexicons.find(name, data_dir)]
    entries: dict[str, dict[str, dict[str, str]]] = {}
    for name in available:
        progress(f"reading the lexicon {name}")
        entries[name] = lexicons.translations(name, wanted, data_dir)
    prices = _prices(wanted, counter, data_dir, progress)
    found: list[dict[str, Any]] = []
    for code in sorted(wanted or {*known_languages(), *(code for words in entries.values() for code in words)}):
        words = {name: len(entries[name][code]) for name in available if code in entries[name]}
        cells = [cell for name in words for cell in islice(entries[name][code].values(), _SAMPLE)]
        on, price, sample = prices.get(code, ("", None, cells))
        found.append({**dataclasses.asdict(facts(code, sample)),
                      "tokens": {"on": on, **dataclasses.asdict(price)} if price else None, "lexicons": words,
                      "routes": _routes(engines, code)})  # fmt: skip
    return {"model": model, "measured_on": [name for name in SETS if registry.find(CARDS[name], data_dir)],
            "lexicons": available, "engines": [engine.name for engine in engines], "languages": found}  # fmt: skip


def _prices(
    wanted: set[str], counter: Counter, data_dir: str | Path | None, progress: Callable[[str], None]
) -> dict[str, tuple[str, Price | None, list[str]]]:
    """Return the set, the price and some sentences of each language, by the first set that has it."""
    from panglot.datasets.translations import SETS, parallel_texts

    found: dict[str, tuple[str, Price | None, list[str]]] = {}
    for name in SETS:
        for code, sentences in parallel_texts(name, data_dir):
            if code not in found and sentences and (not wanted or code in wanted):
                progress(f"{name}: {code}, {len(sentences):,} sentences")
                found[code] = (name, counter.price(sentences), [text for text, _ in sentences[:_SAMPLE]])
    return found


def _routes(engines: Sequence[Engine], code: str) -> dict[str, str | None]:
    from panglot.translation.engines import find_route

    ways = (("into", "en", code), ("out", code, "en"))
    return {
        name: str(route) if source != target and (route := find_route(engines, source, target)) else None
        for name, source, target in ways
    }


def _print(found: Mapping[str, Any]) -> None:
    rows: list[tuple[str, ...]] = []
    for each in found["languages"]:
        tokens = each["tokens"]
        priced = (f"{tokens['premium']:.2f}", f"{tokens['unknown']:.1%}") if tokens else ("", "")
        entries = sum(each["lexicons"].values())
        ways = " ".join(name for name, route in each["routes"].items() if route)
        sets = f"{len(each['trains'])} + {len(each['tests'])}"
        names = (each["code"], each["name"], each["script"], each["direction"], (each["family"] or [""])[0])
        rows.append((*names, sets, *priced, f"{entries:,}" if entries else "", ways))
    head = ("code", "language", "script", "dir", "family", "sets", "tokens", "unknown", "words", "routes")
    options.print_table(head, rows, right=(5, 6, 7, 8))
    click.echo(
        "sets: to train on + to test on. tokens: relative to the same text in English.\n"
        "words: entries of all lexicons. routes: from and into English."
    )


@click.command("doctor")
@options.data_dir_option
@options.json_option("the findings")
def doctor(data_dir: Path | None, to_json: str | None) -> None:
    """Show versions, devices, data sets, cache sizes and the folders of the models that come with panglot."""
    found = _examine(data_dir)
    if options.deliver_json(found, to_json):
        click.echo(_findings_as_text(found))


def _examine(data_dir: Path | None = None) -> dict[str, Any]:
    """Return what ``panglot doctor --json`` writes.

    ``models`` has the ``path`` of the folder of each model that comes with panglot. The folder is made if needed. The
    path is null, with the reason in ``problem``, if it cannot be made. ``bundled_path`` and ``bundled_problem`` are
    those of the bundled model. Sizes are in bytes.
    """
    from panglot.datasets import registry
    from panglot.encoders.model_folders import BUNDLED, SHIPPED

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
    from panglot.encoders import model_folders

    try:
        return {"path": str(model_folders.shipped_folder(name)), "problem": None}
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

        from panglot._environment import choose_device, fast_bf16
    except (ImportError, OSError) as error:
        return {"devices": [], "device": None, "threads": None, "bf16": None, "torch_problem": str(error)}
    devices = ["cpu"]
    devices += [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    chosen = choose_device()
    return {"devices": devices, "device": str(chosen), "threads": torch.get_num_threads(), "bf16": fast_bf16(chosen),
            "torch_problem": None}  # fmt: skip


def _findings_as_text(found: dict[str, Any]) -> str:
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
