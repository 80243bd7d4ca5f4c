"""An index as a retriever of LangChain (``pip install 'panglot[langchain]'``)."""

from __future__ import annotations

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


class PanglotRetriever(BaseRetriever):
    """``PanglotRetriever(index=Index.open("index"), wish=SearchRequest(mode="centered")).invoke("…")``.

    Attributes:
        index: A :class:`panglot.Index`.
        wish: How to search.
    """

    index: Any
    wish: Any = SearchRequest()

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager
        answer = self.index.answer(query, self.index.encode([query])[0], self.wish)
        return [
            Document(
                page_content=hit.document.text,
                id=hit.document.id,
                metadata={**hit.document.fields, "title": hit.document.title, "language": hit.document.language,
                          "group": hit.document.group, "score": hit.score},
            )
            for hit in answer.hits
        ]  # fmt: skip
