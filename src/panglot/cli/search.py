"""``panglot search``: a question in any language, passages in any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from panglot.cli.options import deliver_json, split

if TYPE_CHECKING:
    from panglot.search.result import Hit, SearchResult


@click.command("search")
@click.argument("index", type=click.Path(path_type=Path))
@click.argument("question")
@click.option("--top", default=5, show_default=True, type=int, help="Hits.")
@click.option("--languages", metavar="CODES", help="Passages in these only, such as de,fr,ja.")
@click.option("--language", metavar="CODE", default="", help="Of the question; else it is detected.")
@click.option(
    "--mode",
    type=click.Choice(["plain", "centered", "balanced", "reader"]),
    help="How languages are weighed; plain by default, reader where --reader is given.",
)
@click.option("--reader", metavar="CODES", help="Languages that the reader prefers.")
@click.option("--weight", default=0.05, show_default=True, type=float, help="What they get on top of the cosine.")
@click.option("--fold", is_flag=True, help="Translations of one passage as one hit.")
@click.option("--lexical", is_flag=True, help="Let matching words of the question's language count too.")
@click.option("--highlight", is_flag=True, help="Mark the best sentence of each hit, in a pipe with **.")
@click.option("--reranker", default="", metavar="MODEL", help="A CrossEncoder, which orders the first 50 anew.")
@click.option("--model", help="The model that the index was built with, if it has moved.")
@click.option("--json", "to_json", metavar="PATH", help="Write the answer as JSON; - is standard output.")
def search_command(
    index: Path,
    question: str,
    top: int,
    languages: str | None,
    language: str,
    mode: str | None,
    reader: str | None,
    weight: float,
    *,
    fold: bool,
    lexical: bool,
    highlight: bool,
    reranker: str,
    model: str | None,
    to_json: str | None,
) -> None:
    """Ask QUESTION, in any language, of an INDEX that `panglot index` wrote."""
    from panglot._errors import PanglotError
    from panglot.search.index import Index
    from panglot.search.query_language import check_question
    from panglot.search.request import SearchRequest

    options: dict[str, Any] = {
        "language": language, "languages": tuple(split(languages) or ()), "reader": tuple(split(reader) or ()),
        "mode": mode or ("reader" if reader else "plain"), "weight": weight,
        "fold": fold, "lexical": lexical, "highlight": highlight,
    }  # fmt: skip
    if reader and options["mode"] != "reader":
        raise PanglotError(f"the mode {mode} has no reader", field="reader", hint="leave it or --mode out")
    check_question(question)
    SearchRequest(k=top, **options).check()
    opened = Index.open(index, model=model, reranker=reranker)
    answer = opened.search(question, top, **options)
    known = ", ".join(opened.counts())
    opened.close()
    if to_json:
        deliver_json(answer.as_json(), to_json)
    if to_json != "-":
        _print(answer)
        if not answer.hits:
            click.echo(f"nothing found; the documents are in {known}")


def _print(answer: SearchResult) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    mark = "" if console.is_terminal else "**"
    spoken = f"{answer.language or 'unknown'}{', detected' if answer.detected else ''}"
    console.print(Text(f"question in {spoken}; mode {answer.mode}", style="dim"))
    for hit in answer.hits:
        console.print()
        console.print(_head(hit))
        console.print(_text(hit, mark))
    shares = sorted(answer.shares.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    there = [f"{code} {hits:.0%} of hits, {pool:.0%} of documents" for code, (hits, pool) in shares if hits]
    if there:
        console.print()
        console.print(Text("\n".join(there), style="dim"))


def _head(hit: Hit) -> Any:
    from rich.text import Text

    why = ", ".join(f"{name} {value:.3f}" for name, value in hit.why.items())
    versions = " ".join(hit.languages)
    return Text.assemble(
        (f"{hit.rank}. ", "bold"), (hit.document.title or hit.document.id, "bold"),
        (f"  {versions}  {hit.score:.3f} ({why})  {hit.document.id}", "dim"),
    )  # fmt: skip


def _text(hit: Hit, mark: str, longest: int = 300) -> Any:
    from rich.text import Text

    text = hit.document.text
    begin, end = hit.highlight or (0, 0)
    # The best sentence is in what is shown.
    start = max(0, min(begin - 40, len(text) - longest))
    stop = min(len(text), start + longest)
    begin, end = max(begin, start), min(end, stop)
    best = (mark, (text[begin:end], "bold"), mark) if begin < end else (text[begin:end],)
    before, after = "…" if start else "", "…" if stop < len(text) else ""
    return Text.assemble(before, text[start:begin], *best, text[end:stop], after)
