"""``panglot search``: a query in any language, documents in any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import deliver_json, json_option
from panglot.search.request import Option, SearchRequest, search_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from panglot.search.result import Hit, SearchResult

_FLAGS = {"k": "--top", "preferred_languages": "--prefer"}
_METAVARS = {"language": "CODE", "languages": "CODES", "preferred_languages": "CODES"}
_TOP = 5
"""Results to print: fewer than a program gets, because each takes some lines of a terminal."""


def _click_option(option: Option) -> Callable[[Any], Any]:
    """Return an option of a search as an option of the command line."""
    flags = (_FLAGS.get(option.name, f"--{option.name}"), option.name)
    if option.type is bool:
        return click.option(*flags, is_flag=True, help=option.help)
    if option.choices:
        text = f"{option.help} By default `plain`, or `preferred` if --prefer is given."
        return click.option(*flags, type=click.Choice(list(option.choices)), help=text)
    if option.type in (str, tuple):
        return click.option(*flags, default="", metavar=_METAVARS[option.name], help=option.help)
    default = _TOP if option.name == "k" else option.default
    return click.option(*flags, type=option.type, default=default, show_default=True, help=option.help)


def _search_options(command: Any) -> Any:
    for option in reversed(search_options()[1:]):
        command = _click_option(option)(command)
    return command


@click.command("search")
@click.argument("index", type=click.Path(path_type=Path))
@click.argument("query")
@_search_options
@click.option("--reranker", default="", metavar="MODEL", help="CrossEncoder that orders the first 50 results anew.")
@click.option("--model", help="Model that the index was built with, if it has moved.")
@json_option("the results")
def search_command(
    index: Path, reranker: str, model: str | None, to_json: str | None, mode: str | None, **options: Any
) -> None:
    """Search an INDEX that `panglot index` wrote for QUERY, in any language."""
    from panglot._errors import PanglotError
    from panglot.search.index import Index

    preferred = options["preferred_languages"]
    options["mode"] = mode or ("preferred" if preferred else "plain")
    if preferred and options["mode"] != "preferred":
        raise PanglotError(
            f"--prefer requires the mode `preferred`, got `{mode}`", field="mode", hint="leave out --prefer or --mode"
        )
    # What is wrong with the request is said before the model is loaded.
    request = SearchRequest(**options).validate()
    opened = Index.open(index, model=model, reranker=reranker)
    result = opened.execute(request)
    languages = ", ".join(opened.counts())
    opened.close()
    if to_json:
        deliver_json(result.as_json(), to_json)
    if to_json != "-":
        _print(result)
        if not result.hits:
            click.echo(f"No document was found. The documents are in {languages}.")


def _print(result: SearchResult) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    # Where nothing can be bold, asterisks mark the best sentence.
    mark = "" if console.is_terminal else "**"
    language = f"{result.language or 'unknown'}{', detected' if result.detected else ''}"
    console.print(Text(f"query in {language}; mode {result.mode}", style="dim"))
    for hit in result.hits:
        console.print()
        console.print(_head(hit))
        console.print(_text(hit, mark))
    shares = sorted(result.shares.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    lines = [f"{code} {hits:.0%} of hits, {pool:.0%} of documents" for code, (hits, pool) in shares if hits]
    if lines:
        console.print()
        console.print(Text("\n".join(lines), style="dim"))


def _head(hit: Hit) -> Any:
    from rich.text import Text

    explanation = ", ".join(f"{name} {value:.3f}" for name, value in hit.explanation.items())
    versions = " ".join(hit.languages)
    return Text.assemble(
        (f"{hit.rank}. ", "bold"), (hit.document.title or hit.document.id, "bold"),
        (f"  {versions}  {hit.score:.3f} ({explanation})  {hit.document.id}", "dim"),
    )  # fmt: skip


def _text(hit: Hit, mark: str, longest: int = 300) -> Any:
    from rich.text import Text

    text = hit.document.text
    begin, end = hit.highlight or (0, 0)
    # A long text is cut so that the best sentence is in what is shown.
    start = max(0, min(begin - 40, len(text) - longest))
    stop = min(len(text), start + longest)
    begin, end = max(begin, start), min(end, stop)
    best = (mark, (text[begin:end], "bold"), mark) if begin < end else (text[begin:end],)
    before, after = "…" if start else "", "…" if stop < len(text) else ""
    return Text.assemble(before, text[start:begin], *best, text[end:stop], after)
