"""An index as a retriever of LlamaIndex (``pip install 'panglot[llama-index]'``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """``PanglotRetriever(Index.open("index"), SearchRequest(mode="centered")).retrieve("…")``.

    Args:
        index: Where to search.
        wish: How to search.
    """

    def __init__(self, index: Index, wish: SearchRequest | None = None) -> None:
        self._index, self._wish = index, wish or SearchRequest()
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = query_bundle.query_str
        answer = self._index.answer(question, self._index.encode([question])[0], self._wish)
        return [
            NodeWithScore(
                node=TextNode(
                    id_=hit.document.id,
                    text=hit.document.text,
                    metadata={**hit.document.fields, "title": hit.document.title, "language": hit.document.language,
                              "group": hit.document.group},
                ),
                score=hit.score,
            )
            for hit in answer.hits
        ]  # fmt: skip
