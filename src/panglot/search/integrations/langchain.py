"""An index as a retriever of LangChain (``pip install 'panglot[langchain]'``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from panglot._errors import PanglotError
from panglot.search.request import SearchRequest

try:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise PanglotError(
        "LangChain is not installed", field="langchain", hint="pip install 'panglot[langchain]'"
    ) from error

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun

    from panglot.search.index import Index


class PanglotRetriever(BaseRetriever):
    """Retrieve documents of an index: ``PanglotRetriever(Index.open("index"), mode="centered").invoke("…")``.

    Args:
        index: Where to search.
        options: The options of :class:`panglot.search.request.SearchRequest`, such as ``k`` and ``mode``.
    """

    index: Any
    request: Any

    def __init__(self, index: Index, **options: Any) -> None:
        fields: dict[str, Any] = {"index": index, "request": SearchRequest(**options)}
        super().__init__(**fields)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager
        result = self.index.execute(replace(self.request, query=query))
        return [
            Document(
                page_content=hit.document.text,
                id=hit.document.id,
                metadata={**hit.document.flat_metadata, "score": hit.score},
            )
            for hit in result.hits
        ]
