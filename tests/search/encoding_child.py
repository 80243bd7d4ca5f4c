"""Encodes made documents, to be killed: FOLDER, HOW, DOCUMENTS, SECONDS a shard."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from encoding_made import Made, pieces

from panglot.search.ingest import encode

if __name__ == "__main__":
    folder, on, count, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    encode.SHARD = 4
    encoder = Made(folder / "log", seconds=seconds)
    done = list(encode.encode_documents(pieces(count), encoder, folder / "shards", on=on))
    ids = [document.id for part, _ in done for document in part]
    with (folder / "done.npz").open("wb") as file:
        np.savez(file, ids=np.array(ids), vectors=np.concatenate([vectors for _, vectors in done]))
