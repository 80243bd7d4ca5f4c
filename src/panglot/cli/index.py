"""``panglot index``: documents become an index, or an index gets or loses some."""

from __future__ import annotations

from pathlib import Path

import click

from panglot.cli.options import deliver_json, split, tell


@click.command("index")
@click.argument("documents", required=False, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, metavar="INDEX", help="The index's folder.")
@click.option("--model", help="As for `panglot evaluate`; else bundled, or the one the index was built with.")
@click.option(
    "--engine",
    type=click.Choice(["torch", "openvino"]),
    default="torch",
    show_default=True,
    help="What runs the model meanwhile.",
)
@click.option("--store", default="", metavar="WHERE", help="milvus://host:port/NAME; else in the folder.")
@click.option("--encoder", "on", default="", metavar="WHERE", help="ray://host:port, or ray; else this process.")
@click.option("--processes", type=click.IntRange(1), metavar="N", help="Encode in N processes of this machine.")
@click.option("--lexical", is_flag=True, help="Index words too, which is else done at the first search that needs it.")
@click.option("--add", is_flag=True, help="Add DOCUMENTS to an index, in place of those with the same ids.")
@click.option("--delete", metavar="IDS", help="Remove documents, such as 17,18; @FILE has one id a line.")
@click.option("--json", "to_json", metavar="PATH", help="Write what was done as JSON; - is standard output.")
def index_command(
    documents: Path | None,
    output: Path,
    model: str | None,
    engine: str,
    store: str,
    on: str,
    processes: int | None,
    *,
    lexical: bool,
    add: bool,
    delete: str | None,
    to_json: str | None,
) -> None:
    """Encode DOCUMENTS and write an index to search in: JSON lines, Parquet or CSV with id and text.

    Where known, title, language and group (the same for translations); other fields are kept. Languages are detected
    where missing. A command that was stopped goes on where it was.
    """
    from panglot._errors import PanglotError
    from panglot.search.index import Index

    if documents is None and delete is None:
        raise PanglotError("no documents", field="documents", hint="name a file, or ids to --delete")
    if on and processes:
        raise PanglotError("texts are encoded in one place", field="processes", hint="leave it or --encoder out")
    on = on or (f"processes:{processes}" if processes else "")
    say = tell(to_json)
    done = {"added": 0, "deleted": 0}
    if add or delete is not None:
        if store or on or engine != "torch":
            hint = "leave --store, --encoder, --processes and --engine out"
            raise PanglotError("an index stays as it is", field="store", hint=hint)
        index = Index.open(output, model=model)
        wanted = set(_ids(delete)) if delete is not None else set[str]()
        done["deleted"] = index.delete(wanted)
        done["not there"] = len(wanted) - done["deleted"]
        done["added"] = index.add(documents) if documents is not None else 0
    else:
        assert documents is not None
        index = Index.build(documents, output, model=model or "bundled", engine=engine, store=store, on=on, tell=say)
        done["added"] = len(index)
    if lexical:
        index.words()
    counts = index.counts()
    index.close()
    if to_json:
        deliver_json({"folder": str(output), **done, "documents": sum(counts.values()), "languages": counts}, to_json)
    if to_json != "-":
        most = ", ".join(f"{code} {number:,}" for code, number in list(counts.items())[:8])
        more = f" and {len(counts) - 8} more" if len(counts) > 8 else ""
        click.echo(f"{output}: {sum(counts.values()):,} documents ({most}{more}); {_said(done)}")
        click.echo(f'Next: panglot search {output} "…", or panglot evaluate {output}')


def _ids(given: str) -> list[str]:
    from panglot._errors import PanglotError

    if not given.startswith("@"):
        return split(given) or []
    path = Path(given[1:])
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, field="delete", hint="check the path") from error


def _said(done: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in done.items() if number) or "nothing changed"
