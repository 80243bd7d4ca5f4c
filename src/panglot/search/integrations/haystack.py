"""An index as a retriever of Haystack, and any model as its embedders (``pip install 'panglot[haystack]'``).

Haystack 3 reads a pipeline from a file with ``allowed_modules=["panglot.search.integrations.haystack"]``, because it
makes only components of modules that its user trusts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panglot._environment import install_command
from panglot._errors import PanglotError
from panglot.encoders.load import load
from panglot.encoders.model_folders import DEFAULT
from panglot.search.index import Index
from panglot.search.request import SearchRequest

try:
    from haystack import Document, component, default_to_dict
    from haystack.document_stores.types import FilterPolicy, apply_filter_policy
except ImportError as error:
    raise PanglotError("Haystack is not installed", field="haystack", hint=install_command("haystack")) from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panglot.encoders.protocol import Encoder


class _Embedder:
    """Open the model at the first use, as components of Haystack do."""

    def __init__(self, model: str | Encoder = DEFAULT) -> None:
        self.model = model
        self._encoder: Encoder | None = None if isinstance(model, str) else model

    @property
    def encoder(self) -> Encoder:
        if self._encoder is None:
            self._encoder = load(str(self.model), backend="auto")
        return self._encoder

    def warm_up(self) -> None:
        """Open the model."""
        _ = self.encoder

    def _named(self) -> str:
        if not isinstance(self.model, str):
            problem = "an encoder object has no name to be written to a pipeline's file"
            raise PanglotError(problem, field="model", hint="give the name of a model")
        return self.model


@component
class PanglotTextEmbedder(_Embedder):
    """Encode queries: ``PanglotTextEmbedder().run("…")["embedding"]``.

    Args:
        model: Any model that :func:`panglot.load` opens, such as a folder or
            ``http://127.0.0.1:8080/v1#panglot-small``.
    """

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Return the vector of a query."""
        return {"embedding": self.encoder.encode([text], "question")[0].tolist(), "meta": {"model": self.encoder.name}}

    def to_dict(self) -> dict[str, Any]:
        """Return what a pipeline's file keeps."""
        return default_to_dict(self, model=self._named())


@component
class PanglotDocumentEmbedder(_Embedder):
    """Encode documents: ``PanglotDocumentEmbedder().run(documents)["documents"]``.

    Args:
        model: As for :class:`PanglotTextEmbedder`.
        meta_fields_to_embed: Fields of ``meta`` that are encoded in front of the content, such as ``["title"]``, which
            an index of panglot does.
        embedding_separator: What stands between them.
    """

    def __init__(
        self, model: str | Encoder = DEFAULT, meta_fields_to_embed: Sequence[str] = (), embedding_separator: str = "\n"
    ) -> None:
        _Embedder.__init__(self, model)  # `component` makes a new class, which `super()` would not know.
        self.meta_fields_to_embed, self.embedding_separator = tuple(meta_fields_to_embed), embedding_separator

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Return copies of documents with their vectors."""
        vectors = self.encoder.encode([self._text(each) for each in documents], "passage").tolist()
        found = [replace(each, embedding=vector) for each, vector in zip(documents, vectors, strict=True)]
        return {"documents": found, "meta": {"model": self.encoder.name}}

    def _text(self, document: Document) -> str:
        fields = [str(value) for name in self.meta_fields_to_embed if (value := document.meta.get(name))]
        return self.embedding_separator.join([*fields, document.content or ""])

    def to_dict(self) -> dict[str, Any]:
        """Return what a pipeline's file keeps."""
        fields, separator = list(self.meta_fields_to_embed), self.embedding_separator
        return default_to_dict(self, model=self._named(), meta_fields_to_embed=fields, embedding_separator=separator)


@component
class PanglotRetriever:
    """Retrieve documents of an index: ``PanglotRetriever("index", mode="centered").run("…")["documents"]``.

    Args:
        index: The index, or its folder, which is opened at the first use.
        filters: Conditions on the metadata in Haystack's form, such as
            ``{"field": "meta.year", "operator": ">=", "value": 2024}``.
        top_k: Number of documents.
        filter_policy: Whether filters of :meth:`run` ``replace`` these, or ``merge`` with them.
        options: The other options of :class:`panglot.search.request.SearchRequest`, such as ``mode``. Use ``where`` for
            an access rule: it holds for every query, beside all filters and with both policies.

    Raises:
        PanglotError: An option is unknown or has a wrong value, or a filter has no counterpart in panglot.
    """

    def __init__(
        self, index: Index | str | Path, filters: dict[str, Any] | None = None, top_k: int = SearchRequest.k,
        filter_policy: FilterPolicy | str = FilterPolicy.REPLACE, **options: Any,
    ) -> None:  # fmt: skip
        self.index, self.filters, self.top_k, self.options = index, filters, top_k, options
        try:
            self.filter_policy = FilterPolicy.from_str(str(filter_policy))
        except ValueError as error:
            problem = f"`filter_policy` must be replace or merge, got {filter_policy!r}"
            raise PanglotError(problem, field="filter_policy", hint="use one of the two") from error
        self._request = SearchRequest.of({"k": top_k, **options})
        _ = _with_filters(self._request, filters)  # Refuses them at once.
        self._opened = index if isinstance(index, Index) else None

    def warm_up(self) -> None:
        """Open the index and its model."""
        self._opened = self._opened or Index.open(Path(str(self.index)))

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the best documents for a query.

        Args:
            query: In any language.
            filters: Filters for this query, which replace the others or merge with them, as ``filter_policy`` says.
            top_k: Number of documents, for this query.
            options: Options for this query, which win. A ``where`` narrows the others instead.

        Raises:
            PanglotError: The query is empty, an option is unknown or has a wrong value, or a filter has no counterpart.
        """
        self.warm_up()
        assert self._opened is not None
        asked = self._request.changed({**({} if top_k is None else {"k": top_k}), **(options or {})})
        used = apply_filter_policy(self.filter_policy, self.filters, filters) if filters else self.filters
        result = self._opened.execute(replace(_with_filters(asked, used), query=query))
        return {"documents": [
            Document(
                id=hit.document.id, content=hit.document.text, score=hit.score,
                meta={**hit.about_versions, **hit.document.flat_metadata},
            )
            for hit in result.hits
        ]}  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return what a pipeline's file keeps: the folder of the index and the options."""
        folder = self.index.folder if isinstance(self.index, Index) else self.index
        return default_to_dict(
            self, index=str(folder), filters=self.filters, top_k=self.top_k, filter_policy=self.filter_policy.value,
            **self.options,
        )  # fmt: skip


_COMPARISONS = {
    "==": "$eq", "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte", "in": "$in", "not in": "$nin",
}  # fmt: skip
_GROUPS = {"AND": "$and", "OR": "$or", "NOT": "$and"}
# Fields of Haystack's documents on which an index of panglot has no condition.
_NOT_META = {"content", "blob", "score", "embedding", "sparse_embedding"}


def _with_filters(request: SearchRequest, filters: dict[str, Any] | None) -> SearchRequest:
    """Return a request with Haystack's filters beside its own ``where``."""
    return request.changed({"where": _filter(filters)}) if filters else request


def _filter(filters: Any) -> dict[str, Any]:
    """Return Haystack's filters in the form that :mod:`panglot.search.filter_syntax` reads."""
    if not isinstance(filters, dict) or "operator" not in filters or not filters.keys() & {"field", "conditions"}:
        hint = 'write {"field": "meta.year", "operator": ">=", "value": 2024}, or give other filters as `where`'
        raise PanglotError(f"this is not a filter of Haystack: {filters!r}", field="filters", hint=hint)
    operator = filters["operator"]
    if "field" not in filters:
        if operator not in _GROUPS:
            problem = f"`{operator}` does not join conditions"
            raise PanglotError(problem, field="filters", hint=f"use one of {', '.join(_GROUPS)}")
        parts = filters["conditions"]
        if not isinstance(parts, list) or not parts:
            problem = f"`conditions` of `{operator}` must be a list of filters, got {parts!r}"
            raise PanglotError(problem, field="filters", hint="write one filter or more")
        joined: dict[str, Any] = {_GROUPS[operator]: [_filter(each) for each in parts]}
        return {"$not": joined} if operator == "NOT" else joined
    field = str(filters["field"])
    if field in _NOT_META:
        problem = f"panglot has no filter on `{field}`"
        raise PanglotError(problem, field="filters", hint="use a field of the metadata, such as meta.year, or `id`")
    if operator not in _COMPARISONS:
        problem = f"panglot has no filter `{operator}`, got it for `{field}`"
        raise PanglotError(problem, field="filters", hint=f"use one of {', '.join(_COMPARISONS)}")
    if "value" not in filters:
        raise PanglotError(f"the filter on `{field}` has no `value`", field="filters", hint="add it")
    value = filters["value"]
    several = isinstance(value, list) and all(isinstance(each, str | int | float) for each in value)
    one = isinstance(value, str | int | float) or (value is None and operator in ("==", "!="))
    if not (several if operator in ("in", "not in") else one):
        problem = f"panglot has no filter `{field} {operator} {value!r}`"
        hint = "write a list of texts, numbers or truth values" if "in" in operator else "compare with one value"
        raise PanglotError(problem, field="filters", hint=hint)
    name = field.removeprefix("meta.")
    if value is None:
        return {name: {"$exists": operator == "!="}}
    return {name: {_COMPARISONS[operator]: value}}
