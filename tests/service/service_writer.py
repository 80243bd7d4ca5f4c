"""A service that writes to an index with a model of letters, to be killed."""

from __future__ import annotations

import sys

from service_made import Encoder

from panglot.search.index import Index
from panglot.search.storage import graph, segments
from panglot.service.limits import Limits
from panglot.service.middleware import Access
from panglot.service.serve import serve

if __name__ == "__main__":
    segments.MERGED, graph.MIN_ROWS, graph.VISITS = 3, 40, 0
    index = Index.open(sys.argv[1], model=Encoder(fails=False))
    serve(index, Limits(), port=0, access=Access(writable=True), progress=lambda line: print(line, flush=True))
