"""What happens to a shard in another process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.encoders.progress import be_quiet
from panglot.search._shards import encoded

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder


def packed(encoder: Encoder) -> bytes:
    """Return the encoder as it travels.

    Raises:
        PanglotError: It cannot.
    """
    try:
        return bytes(ForkingPickler.dumps(encoder))
    except Exception as error:  # Pickling raises whatever the object does.
        raise PanglotError(
            f"the encoder {encoder.name} cannot go to other processes: {error}", field="on", cure="encode in this one"
        ) from error


def work(
    encoder: bytes, key: str, ids: Sequence[str], texts: Sequence[str], languages: Sequence[str], threads: int = 0
) -> bytes:
    """Return :func:`panglot.search._shards.encoded` with an encoder that travelled, opened once a process."""
    be_quiet()
    opened = _opened(encoder)
    if threads and (torch := sys.modules.get("torch")):
        torch.set_num_threads(threads)
    return encoded(opened, key, ids, texts, languages)


@lru_cache(maxsize=1)
def _opened(encoder: bytes) -> Encoder:
    pickler: Any = ForkingPickler  # what `packed` made in the parent process, never a file
    return pickler.loads(encoder)
