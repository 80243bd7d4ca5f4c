"""An index as a retriever of LlamaIndex, and any model as its embeddings (``pip install 'panglot[llama-index]'``)."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from panglot._environment import install_command
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.encoders.model_folders import DEFAULT
from panglot.encoders.protocol import Encoder
from panglot.search.request import SearchRequest

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
except ImportError as error:
    raise PanglotError(
        "LlamaIndex is not installed", field="llama-index", hint=install_command("llama-index")
    ) from error

if TYPE_CHECKING:
    from panglot.search.index import Index


_FIELDS = tuple(inspect.signature(BaseRetriever.__init__).parameters)[1:]


class PanglotEmbedding(BaseEmbedding):
    """Encode queries and documents, each in its own way: ``PanglotEmbedding()``.

    Args:
        model: Any model that :func:`panglot.load` opens, such as a folder or
            ``http://127.0.0.1:8080/v1#panglot-small``.
        options: The options of LlamaIndex's ``BaseEmbedding``, such as ``embed_batch_size``.
    """

    _encoder: Encoder = PrivateAttr()

    def __init__(self, model: str | Encoder = DEFAULT, **options: Any) -> None:
        encoder = load(model, backend="auto") if isinstance(model, str) else model
        super().__init__(model_name=encoder.name, **options)
        self._encoder = encoder

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._encoder.encode([query], "question")[0].tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._encoder.encode(texts, "passage").tolist()

    # The library's own would encode on the event loop.
    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class PanglotRetriever(BaseRetriever):
    """Retrieve nodes of an index: ``PanglotRetriever(Index.open("index"), mode="centered").retrieve("…")``.

    Args:
        index: Where to search.
        options: The options of :class:`panglot.search.request.SearchRequest`, such as ``k`` and ``mode``, the
            parameters of ``BaseRetriever``, such as ``callback_manager``, and ``filters``, LlamaIndex's
            ``MetadataFilters``, instead of ``where``.

    Raises:
        PanglotError: An option is unknown or has a wrong value. While retrieving: the query has texts or a vector to be
            searched for instead of its own text.
    """

    def __init__(self, index: Index, **options: Any) -> None:
        fields = {name: options.pop(name) for name in _FIELDS if name in options}
        if (filters := options.pop("filters", None)) is not None:
            if options.get("where"):
                raise PanglotError("`where` and `filters` are one option", field="filters", hint="give one of them")
            options["where"] = _filter(filters)
        self._index, self._request = index, SearchRequest.of(options, f", {', '.join(_FIELDS)}")
        super().__init__(**fields)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        for name in ("custom_embedding_strs", "embedding", "image_path"):
            value = getattr(query_bundle, name, None)
            if value is not None and value != [query_bundle.query_str]:
                problem = f"the query has `{name}`, but panglot searches for its text alone"
                raise PanglotError(problem, field=name, hint="give it as `query_str`, or leave it out")
        result = self._index.execute(replace(self._request, query=query_bundle.query_str))
        nodes: list[NodeWithScore] = []
        for hit in result.hits:
            document, versions = hit.document, hit.about_versions
            # Ids and scores of other versions say nothing to a language model, which would read all metadata.
            hidden = [name for name in versions if name not in document.metadata]
            node = TextNode(
                id_=document.id, text=document.text, metadata={**versions, **document.flat_metadata},
                excluded_llm_metadata_keys=hidden, excluded_embed_metadata_keys=hidden,
            )  # fmt: skip
            nodes.append(NodeWithScore(node=node, score=hit.score))
        return nodes

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


_OPERATORS = {
    FilterOperator.EQ: "$eq", FilterOperator.NE: "$ne", FilterOperator.GT: "$gt", FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt", FilterOperator.LTE: "$lte", FilterOperator.IN: "$in", FilterOperator.NIN: "$nin",
    FilterOperator.ANY: "$in", FilterOperator.CONTAINS: "$contains",
}  # fmt: skip


def _filter(filters: Any) -> dict[str, Any]:
    """Return LlamaIndex's filters in the form that :mod:`panglot.search.filter_syntax` reads."""
    if isinstance(filters, MetadataFilters):
        parts = [_filter(each) for each in filters.filters]
        joined = {FilterCondition.AND: "$and", FilterCondition.OR: "$or", FilterCondition.NOT: "$nor"}
        return {joined[filters.condition or FilterCondition.AND]: parts} if parts else {}
    if not isinstance(filters, MetadataFilter):
        problem = f"`filters` must be MetadataFilters of LlamaIndex, got {type(filters).__name__}"
        raise PanglotError(problem, field="filters", hint="give other filters as `where`")
    name, operator, value = filters.key, filters.operator, filters.value
    if operator in _OPERATORS:
        return {name: {_OPERATORS[operator]: value}}
    if operator == FilterOperator.IS_EMPTY:
        return {name: {"$exists": False}}
    if operator == FilterOperator.ALL:
        values = value if isinstance(value, list) else [value]
        return {"$and": [{name: {"$contains": each}} for each in values]}
    problem = f"panglot has no filter `{operator.value}`"
    raise PanglotError(problem, field="filters", hint="use == or in, or `hybrid` to search for words")
