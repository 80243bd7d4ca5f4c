"""``panglot serve``: an index over HTTP."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.argument("index", type=click.Path(path_type=Path))
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A host name of a proxy in front; repeat for more.")
@click.option("--keys", type=click.Path(path_type=Path), help="A file of API keys; else PANGLOT_SERVICE_KEYS.")
@click.option("--model", help="Encode with this one; by default with the model that made the index.")
@click.option("--reranker", default="", metavar="MODEL", help="A cross-encoder that ranks the first hits again.")
@click.option("--queue", default=256, show_default=True, type=click.IntRange(1), help="Requests inside; more get 429.")
@click.option("--batch-tokens", default=2048, show_default=True, type=click.IntRange(1), help="Encoded together.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1), help="For an answer; then 504.")
def serve_command(
    index: Path,
    port: int,
    host: str,
    allow_host: tuple[str, ...],
    keys: Path | None,
    model: str | None,
    reranker: str,
    queue: int,
    batch_tokens: int,
    seconds: float,
) -> None:
    """Serve the index INDEX: a web page at /, /search, and /v1/embeddings as OpenAI's clients call it.

    Log lines in JSON go to standard output. SIGTERM stops the service when what is inside is answered.
    """
    from importlib.util import find_spec

    from panglot._errors import PanglotError

    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]:
        raise PanglotError(
            f"the service needs {', '.join(missing)}", field="serve", hint="pip install 'panglot[serve]'"
        )
    from panglot.search.index import Index
    from panglot.service.limits import Limits
    from panglot.service.middleware import read_keys
    from panglot.service.serve import serve

    allowed = read_keys(keys)
    limits = Limits(queue=queue, batch_tokens=batch_tokens, seconds=seconds)
    click.echo(f"opening {index} and its model", err=True)
    opened = Index.open(index, model=model, reranker=reranker)
    try:
        serve(
            opened, limits, host=host, port=port, keys=allowed, hosts=allow_host,
            tell=lambda line: click.echo(line, err=True),
        )  # fmt: skip
    finally:
        opened.close()
