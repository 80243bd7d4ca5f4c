"""An index as a retriever of LangChain, and any model as its embeddings (``pip install 'panglot[langchain]'``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from panglot._environment import install_command
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.search.request import SearchRequest

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise PanglotError("LangChain is not installed", field="langchain", hint=install_command("langchain")) from error

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun

    from panglot.encoders.protocol import Encoder
    from panglot.search.index import Index


class PanglotEmbeddings(Embeddings):
    """Encode queries and documents, each in its own way: ``PanglotEmbeddings("bundled")``.

    Args:
        model: Any model that :func:`panglot.load` opens, such as a folder or ``http://127.0.0.1:8080/v1#bundled``.
    """

    def __init__(self, model: str | Encoder = "bundled") -> None:
        self.encoder = load(model) if isinstance(model, str) else model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per document."""
        return self.encoder.encode(texts, "passage").tolist()

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self.encoder.encode([text], "question")[0].tolist()


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
