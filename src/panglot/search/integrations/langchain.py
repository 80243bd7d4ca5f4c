"""An index as a retriever of LangChain, and any model as its embeddings (``pip install 'panglot[langchain]'``)."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from panglot._environment import install_command
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.encoders.model_folders import DEFAULT
from panglot.search.request import SearchRequest

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import run_in_executor
except ImportError as error:
    raise PanglotError("LangChain is not installed", field="langchain", hint=install_command("langchain")) from error

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun

    from panglot.encoders.protocol import Encoder
    from panglot.search.index import Index


_FIELDS = tuple(BaseRetriever.model_fields)


class PanglotEmbeddings(Embeddings):
    """Encode queries and documents, each in its own way: ``PanglotEmbeddings()``.

    Args:
        model: Any model that :func:`panglot.load` opens, such as a folder or
            ``http://127.0.0.1:8080/v1#panglot-small``.
    """

    def __init__(self, model: str | Encoder = DEFAULT) -> None:
        self.encoder = load(model, backend="auto") if isinstance(model, str) else model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per document."""
        return self.encoder.encode(texts, "passage").tolist()

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self.encoder.encode([text], "question")[0].tolist()


class PanglotRetriever(BaseRetriever):
    """Retrieve documents of an index: ``PanglotRetriever(Index.open("index"), mode="centered").invoke("…", k=4)``.

    The ``score`` in the metadata is that of the hit, also if documents have a field of this name.

    Args:
        index: Where to search.
        options: The options of :class:`panglot.search.request.SearchRequest`, such as ``k`` and ``mode``, for all
            queries, and the fields of ``BaseRetriever``, such as ``tags``. ``where`` may be called ``filter``, as other
            stores call it. Arguments of ``invoke`` and ``ainvoke`` are options of one query, and win. Their ``filter``
            narrows that of the retriever instead of replacing it, so that an access rule holds for every query.

    Raises:
        PanglotError: An option is unknown or has a wrong value.
    """

    index: Any
    request: Any

    def __init__(self, index: Index, **options: Any) -> None:
        # The library's own fields, such as tags, metadata and name.
        fields: dict[str, Any] = {name: options.pop(name) for name in _FIELDS if name in options}
        fields |= {"index": index, "request": SearchRequest.of(_named(options), f", {', '.join(_FIELDS)}")}
        super().__init__(**fields)

    # The library passes arguments of `invoke` on only to a method with parameters for them. Without, it drops them.
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        work = functools.partial(self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **options)
        return await run_in_executor(None, work)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        del run_manager
        result = self.index.execute(replace(self.request.changed(_named(options)), query=query))
        return [
            Document(
                page_content=hit.document.text,
                id=hit.document.id,
                metadata={**hit.about_versions, **hit.document.flat_metadata, "score": hit.score},
            )
            for hit in result.hits
        ]


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with LangChain's ``filter`` under its name here."""
    if "filter" in options and "where" in options:
        raise PanglotError("`where` and `filter` are one option", field="filter", hint="give one of them")
    return {"where" if name == "filter" else name: value for name, value in options.items()}
