"""An index as a retriever of LlamaIndex (``pip install 'panglot[llama-index]'``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.search.request import SearchRequest

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise PanglotError(
        "LlamaIndex is not installed", field="llama-index", hint="pip install 'panglot[llama-index]'"
    ) from error

if TYPE_CHECKING:
    from panglot.search.index import Index


class PanglotRetriever(BaseRetriever):
    """Retrieve nodes of an index: ``PanglotRetriever(Index.open("index"), mode="centered").retrieve("…")``.

    Args:
        index: Where to search.
        options: The options of :class:`panglot.search.request.SearchRequest`, such as ``k`` and ``mode``.
    """

    def __init__(self, index: Index, **options: Any) -> None:
        self._index, self._request = index, SearchRequest(**options)
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        result = self._index.execute(replace(self._request, query=query_bundle.query_str))
        nodes: list[NodeWithScore] = []
        for hit in result.hits:
            document = hit.document
            node = TextNode(id_=document.id, text=document.text, metadata=document.flat_metadata)
            nodes.append(NodeWithScore(node=node, score=hit.score))
        return nodes
