"""``panglot serve``: serve an index over HTTP."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.argument("index", type=click.Path(path_type=Path))
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port. 0 takes any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Host name of a proxy in front. Repeat the option for more."
)
@click.option("--keys", type=click.Path(path_type=Path), help="File of API keys. $PANGLOT_SERVICE_KEYS by default.")
@click.option("--model", help="Model to encode with. By default the model that the index was built with.")
@click.option("--reranker", default="", metavar="MODEL", help="Cross-encoder that orders the first results again.")
@click.option(
    "--queue",
    default=256,
    show_default=True,
    type=click.IntRange(1),
    help="Most requests in progress. Further ones get status 429.",
)
@click.option(
    "--batch-tokens", default=2048, show_default=True, type=click.IntRange(1), help="Most tokens encoded together."
)
@click.option(
    "--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1),
    help="Time limit of a response. A late one gets status 504.",
)  # fmt: skip
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
    """Serve the index INDEX: a web page at /, /search, and /v1/embeddings for OpenAI's clients.

    The log is written to standard output as JSON lines. SIGTERM stops the service after the requests in progress.
    """
    from panglot._environment import require

    require("the service", "fastapi", "orjson", "prometheus_client", "uvicorn", extra="serve", field="serve")
    from panglot.cli.options import progress_to
    from panglot.search.index import Index
    from panglot.service.limits import Limits
    from panglot.service.middleware import read_keys
    from panglot.service.serve import serve

    # Wrong settings are refused before the seconds that a model takes to open.
    accepted = read_keys(keys)
    limits = Limits(queue=queue, batch_tokens=batch_tokens, seconds=seconds)
    progress = progress_to(None)
    progress(f"opening {index} and its model")
    opened = Index.open(index, model=model, reranker=reranker)
    try:
        serve(opened, limits, host=host, port=port, keys=accepted, hosts=allow_host, progress=progress)
    finally:
        opened.close()
