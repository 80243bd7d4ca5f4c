"""Services that write to an index with a model of letters, to be killed. Each line on standard input starts one."""

from __future__ import annotations

import os
import sys

from service_made import Encoder

from panglot.search.index import Index
from panglot.search.storage import graph, segment_writer
from panglot.service import app
from panglot.service.batcher import Limits
from panglot.service.middleware import Access
from panglot.service.serve import serve

if __name__ == "__main__":
    assert app  # Imports take longer than all else, so that services are forked from one process.
    segment_writer.MERGED, graph.MIN_ROWS, graph.VISITS = 3, 40, 0
    for _ in sys.stdin:
        if not (child := os.fork()):
            index = Index.open(sys.argv[1], model=Encoder(fails=False))
            serve(
                index, Limits(), port=0, access=Access(writable=True),
                progress=lambda line: print(os.getpid(), line, flush=True),
            )  # fmt: skip
        os.waitpid(child, 0)
