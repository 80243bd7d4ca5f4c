"""``panglot index``: build an index of documents, or add and delete some."""

from __future__ import annotations

from pathlib import Path

import click

from panglot.cli.options import deliver_json, json_option, progress_to, split


@click.command("index")
@click.argument("documents", required=False, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, metavar="INDEX", help="Folder of the index.")
@click.option(
    "--model", help="As for `panglot evaluate`; by default `bundled`, or the model that the index was built with."
)
@click.option(
    "--backend",
    type=click.Choice(["torch", "openvino"]),
    default="torch",
    show_default=True,
    help="Inference backend used while indexing.",
)
@click.option(
    "--store", default="", metavar="WHERE", help="Store of documents, milvus://host:port/NAME; by default the folder."
)
@click.option(
    "--encoder",
    "on",
    default="",
    metavar="WHERE",
    help="Ray cluster that encodes, ray or ray://host:port; by default this process.",
)
@click.option("--processes", type=click.IntRange(1), metavar="N", help="Encode in N processes of this machine.")
@click.option("--hybrid", is_flag=True, help="Index words now instead of at the first hybrid search.")
@click.option("--add", is_flag=True, help="Add DOCUMENTS to an index, in place of those with the same ids.")
@click.option("--delete", metavar="IDS", help="Delete documents by id, such as 17,18; @FILE has one id per line.")
@json_option("what was done")
def index_command(
    documents: Path | None,
    output: Path,
    model: str | None,
    backend: str,
    store: str,
    on: str,
    processes: int | None,
    *,
    hybrid: bool,
    add: bool,
    delete: str | None,
    to_json: str | None,
) -> None:
    """Encode DOCUMENTS (JSON lines, Parquet or CSV with `id` and `text`) and write an index to search in.

    Optional fields are `title`, `language`, and `group`, which translations share. Other fields are kept. Missing
    languages are detected. If the command is stopped, the same command resumes it.
    """
    from panglot._errors import PanglotError
    from panglot.search.index import Index

    if documents is None and delete is None:
        raise PanglotError("DOCUMENTS is required", field="documents", hint="name a file, or ids to --delete")
    if on and processes:
        raise PanglotError(
            "documents are encoded in one place", field="processes", hint="leave out --processes or --encoder"
        )
    on = on or (f"processes:{processes}" if processes else "")
    progress = progress_to(to_json)
    done = {"added": 0, "deleted": 0}
    if add or delete is not None:
        if store or on or backend != "torch":
            raise PanglotError(
                "an existing index keeps its store and is changed in this process", field="store",
                hint="leave --store, --encoder, --processes and --backend out",
            )  # fmt: skip
        index = Index.open(output, model=model)
        ids = set(_ids(delete)) if delete is not None else set[str]()
        done["deleted"] = index.delete(ids)
        done["not found"] = len(ids) - done["deleted"]
        done["added"] = index.add(documents) if documents is not None else 0
    else:
        assert documents is not None
        index = Index.build(
            documents, output, model=model or "bundled", backend=backend, store=store, on=on, progress=progress
        )
        done["added"] = len(index)
    if hybrid:
        index.lexical.open()
    counts = index.counts()
    index.close()
    if to_json:
        deliver_json({"folder": str(output), **done, "documents": sum(counts.values()), "languages": counts}, to_json)
    if to_json != "-":
        most = ", ".join(f"{code} {number:,}" for code, number in list(counts.items())[:8])
        more = f" and {len(counts) - 8} more" if len(counts) > 8 else ""
        changes = ", ".join(f"{number:,} {what}" for what, number in done.items() if number) or "nothing changed"
        click.echo(f"{output}: {sum(counts.values()):,} documents ({most}{more}); {changes}")
        click.echo(f'Next: panglot search {output} "…", or panglot evaluate {output}')


def _ids(names: str) -> list[str]:
    """Return the ids in a list with commas, or in the lines of a file behind ``@``."""
    from panglot._errors import PanglotError

    if not names.startswith("@"):
        return split(names) or []
    path = Path(names[1:])
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PanglotError(f"cannot be read: {error}", file=path, field="delete", hint="check the path") from error
