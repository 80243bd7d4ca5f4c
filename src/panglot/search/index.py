"""The index: documents in, results in any language out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from panglot._errors import PanglotError
from panglot.debiasing import correction
from panglot.debiasing.correction import Languages
from panglot.encoders.model_folders import DEFAULT
from panglot.encoders.protocol import CutTexts, check_texts
from panglot.encoders.sentence_transformer import Reranker
from panglot.search.document import document_digest
from panglot.search.metadata import OF_DOCUMENTS, IndexMetadata, check_debiasing, check_model, open_encoder
from panglot.search.ranking.lexical import LexicalIndex
from panglot.search.ranking.modes import LanguageStats, center
from panglot.search.request import SearchRequest
from panglot.search.searcher import Searcher
from panglot.search.storage.manifest import Manifest
from panglot.search.storage.store import documents_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from panglot._environment import Precision
    from panglot.encoders.protocol import Encoder, Side, Vectors
    from panglot.search.document import Document, Filter
    from panglot.search.ingest.documents import Documents
    from panglot.search.ranking.modes import Mode
    from panglot.search.request import SearchResult
    from panglot.search.storage.store import Store


class Index:
    """Documents of any languages with their vectors, searched in any language.

    ``Index.build("docs.jsonl", "index")`` makes one, ``Index.open("index")`` opens it again.

    Attributes:
        folder: Where it is.
        encoder: The encoder of plain vectors. What a debiased model adds is in :attr:`debiasing`.
        store: Documents and vectors.
        stats: Number and mean vector of the documents of each language, as they were when the index was built.
        debiasing: What centering does to the vectors of queries and documents.
        debiased: Whether the index was built with a debiased model. All modes then use its debiasing.
        lexical: The words of the documents, for hybrid search.
        searcher: Answers requests from these parts.
    """

    def __init__(self, folder: Path, encoder: Encoder, store: Store, reranker: Reranker | None = None) -> None:
        self.folder, self.encoder, self.store = folder, encoder, store
        self.stats = LanguageStats.open(folder)
        self.debiasing, head = correction.read(folder, hint="build the index again")
        self.debiased = head.get("fitted_on", OF_DOCUMENTS) != OF_DOCUMENTS
        self._built_with = IndexMetadata.open(folder).fingerprint  # The encoder's, or that of another precision.
        self._languages = Languages(self.debiasing, encoder.name)
        # Another index may be put in its place, by a rename or a symbolic link, while this one still answers.
        self._place = folder.resolve()
        self.lexical = LexicalIndex(self._place / "lexical", store)
        self.searcher = Searcher(store, encoder, self.debiasing, self.lexical, reranker, self.debiased)

    @classmethod
    def build(
        cls,
        documents: Documents,
        folder: str | Path,
        *,
        model: str | Path | Encoder = DEFAULT,
        backend: str = "auto",
        precision: Precision = "auto",
        store: str = "",
        on: str = "",
        center_strength: float = 1.0,
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Encode documents and write an index. After a kill, the same call continues with what was encoded.

        If the folder contains an index that was built from the same documents with the same model, it is opened.

        Args:
            documents: A path or the name of a data set, as :func:`panglot.search.ingest.sources.find_documents` takes
                them, or what it returns; or documents, each a :class:`panglot.search.document.Document` or a mapping
                with the fields of a file's row. Missing languages are detected.
            folder: Where to write. It must not contain another index.
            model: What :func:`panglot.load` understands, or an encoder.
            backend: Inference backend of documents: ``torch``, ``openvino``, or ``auto``: torch, but numpy for a few.
            precision: ``fp32``, ``bf16``, ``int8`` (which needs OpenVINO), or ``auto``: bf16 if faster, else fp32.
            store: Where documents and vectors are kept: empty for the folder, or ``milvus://host:port/name``.
            on: Where texts are encoded: empty for this process, or ``processes:N``, ``ray`` or ``ray://host:port``.
            center_strength: The share of a language's mean that the modes ``centered`` and ``balanced`` subtract, from
                0 to 1. A debiased model has a strength of its own.
            progress: Called with a line for people before each long step.

        Raises:
            PanglotError: The documents cannot be read, or the folder cannot be written or contains another index.
        """
        from panglot.search.ingest.build import build

        encoder = build(
            documents, Path(folder), model=model, backend=backend, precision=precision, store=store, on=on,
            center_strength=center_strength, progress=progress,
        )  # fmt: skip
        return cls.open(folder, model=encoder)

    @classmethod
    def open(
        cls, folder: str | Path, *, model: str | Path | Encoder | None = None, reranker: str = "",
        precision: Precision = "auto",
    ) -> Self:  # fmt: skip
        """Open an index.

        Args:
            folder: Where it is.
            model: The model it was built with, if that has moved or was given as an object.
            reranker: Folder or hub name of a ``CrossEncoder``, which orders the first 50 candidates anew.
            precision: As for :meth:`build`, while queries and new documents are encoded.

        Raises:
            PanglotError: There is no index, or the model is another one.
        """
        folder, place = Path(folder), Path(folder).resolve()
        metadata = IndexMetadata.open(place)
        if model is None and not metadata.model:
            problem = f"the index was built with an encoder object ({metadata.name}), which has no name to open it by"
            raise PanglotError(problem, file=folder, field="model", hint="pass that encoder as `model`")
        # The store opens in milliseconds, so that its errors come before the seconds that a model takes.
        store = metadata.open_store(place)
        whole, encoder, _ = open_encoder(model if model is not None else metadata.model, precision=precision)
        check_model(metadata, encoder, folder)
        check_debiasing(whole, folder)
        return cls(folder, encoder, store, Reranker(reranker) if reranker else None)

    def __len__(self) -> int:
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has, the largest first."""
        return self.store.counts()

    def documents(self) -> Iterator[list[Document]]:
        """Yield all documents, in pieces."""
        return documents_of(self.store)

    def encode(self, queries: Sequence[str]) -> Vectors:
        """Return the plain vectors of queries, shape ``[queries, dimension]``."""
        check_texts(queries, "question")
        return self.encoder.encode(list(queries), "question")

    def debias(self, texts: Sequence[str], vectors: Vectors, side: Side) -> Vectors:
        """Return the vectors that the model of the index gives for texts, from their plain ones.

        They differ only if the model is debiased. The languages of the texts are detected, as :func:`panglot.load`
        detects them.
        """
        if not self.debiased:
            return vectors
        return self.debiasing.apply(vectors, self._languages.of(texts, None), side)

    def search(
        self,
        query: str,
        *,
        k: int = SearchRequest.k,
        offset: int = SearchRequest.offset,
        language: str = SearchRequest.language,
        default_language: str = SearchRequest.default_language,
        languages: str | Sequence[str] | None = None,
        where: str | Mapping[str, Any] | Filter | None = SearchRequest.where,
        mode: Mode = SearchRequest.mode,
        preferred_languages: str | Sequence[str] | None = None,
        boost: float = SearchRequest.boost,
        collapse: bool = SearchRequest.collapse,
        hybrid: bool = SearchRequest.hybrid,
        lexical_weight: float = SearchRequest.lexical_weight,
        highlight: bool = SearchRequest.highlight,
        score_threshold: float | None = SearchRequest.score_threshold,
        fields: str | Sequence[str] | None = None,
    ) -> SearchResult:
        """Return the best documents for a query.

        Args:
            query: In any language.
            k: Number of results, 1 to 1000.
            offset: Number of best results to leave out, which earlier pages showed. ``k`` and ``offset`` are at most
                10,000 together.
            language: Language of the query. It is detected if empty.
            default_language: Language of the query if the detection is doubtful. If empty, it is then unknown, and
                nothing that depends on it is used.
            languages: Return only documents in these, such as ``"de,fr"`` or ``["de", "fr"]``. A language stands for
                its regional forms too. None: in all.
            where: Return only documents whose metadata pass this filter, such as ``product = "calc" and year >= 2024``
                or ``{"product": "calc", "year": {"$gte": 2024}}``. See :mod:`panglot.search.filter_syntax`.
            mode: How languages are weighed. See :mod:`panglot.search.ranking.modes`.
            preferred_languages: Those whose documents get the boost, in any mode. Collapsed results show them first.
            boost: What is added to the cosine of documents in a preferred language, 0 to 2.
            collapse: Return translations of one document as one result, with the score and rank of the best. It shows
                the version in the first preferred language that there is, else in that of the query, else the best,
                and lists all versions.
            hybrid: Also rank by matching words and fuse both rankings (``pip install 'panglot[lexical]'``).
            lexical_weight: With ``hybrid``, the weight of the ranking by words, 0 to 1. That by vectors has the rest.
            highlight: Mark the best sentence of the first 50 results, where one matches. This encodes all their
                sentences.
            score_threshold: Leave out results whose score is lower. The score is a cosine, to which modes and the boost
                add. With ``hybrid``, it is a sum of reciprocal ranks, and with a reranker what that gives.
            fields: Return only these of a document's text, title and metadata, and leave the others empty. None: all.

        Raises:
            PanglotError: The query is empty, or an option is wrong.
        """
        return self.execute(SearchRequest(
            query, k, offset, language, default_language, languages or (), where, mode, preferred_languages or (),
            boost, collapse, hybrid, lexical_weight, highlight, score_threshold, fields or (),
        ))  # fmt: skip

    def execute(self, request: SearchRequest) -> SearchResult:
        """Return the best documents for a request.

        Raises:
            PanglotError: The request is wrong.
        """
        request = request.validate()
        begin = perf_counter()
        vector = self.encode([request.query])[0]
        seconds = perf_counter() - begin
        result = self.searcher.search(request, vector)
        return replace(result, seconds={"encode": seconds, **result.seconds})

    def add(self, documents: Documents) -> int:
        """Add documents, in place of those with the same ids, and return how many.

        The languages' means remain those of the build. Build the index anew when languages are added or documents
        change much.

        Raises:
            PanglotError: The documents cannot be read, or their metadata do not fit those of the index, which is found
                before any is added. Or the encoder does not give finite vectors.
        """
        from panglot.search.ingest.build import checked_addition
        from panglot.search.ingest.encode import encoded

        number, cuts = 0, CutTexts(self.encoder, "passage")
        with checked_addition(documents, self.encoder, self.store, self.folder) as pieces, self.store.bulk():
            for piece in pieces:
                try:
                    self.put(piece, encoded(self.encoder, piece, cuts))
                except PanglotError as error:
                    if not number:
                        raise
                    problem = f"{error.problem}. {number:,} documents were added before"
                    raise PanglotError(problem, file=error.file, field=error.field, hint=error.hint) from error
                number += len(piece)
        cuts.warn()
        return number

    def update(self, documents: Documents, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, int]:
        """Make the index hold these documents and no others, and return how many were added, changed and deleted.

        Only new and changed documents are encoded. After a kill, the same call continues. As for :meth:`add`, the
        languages' means remain those of the build.

        Raises:
            PanglotError: The documents cannot be read, or fields of metadata whose values were of one kind no longer
                are, which is found before anything is changed. Or another process updates the index.
        """
        from panglot.search.ingest.build import checked_update
        from panglot.search.ingest.encode import encoded

        done = {"added": 0, "changed": 0, "deleted": 0}
        with checked_update(documents, self.encoder, self.store, self.folder, progress) as (pieces, found):
            gone = {each.id: document_digest(each) for piece in self.documents() for each in piece}
            cuts = CutTexts(self.encoder, "passage")
            with self.store.bulk():
                for piece in pieces:
                    before = {each.id: gone.pop(each.id, "") for each in piece}
                    new = [each for each in piece if before[each.id] != document_digest(each)]
                    if new:
                        # Documents that are still to be replaced may have fields of other kinds.
                        self.put(new, encoded(self.encoder, new, cuts), same_kinds=False)
                    done["changed"] += sum(bool(before[each.id]) for each in new)
                    done["added"] += sum(not before[each.id] for each in new)
            done["deleted"] = self.delete(list(gone)) if gone else 0
            cuts.warn()
            metadata = IndexMetadata.open(self.folder)
            if metadata.digest != found:  # By it, building from the same documents is known to be done.
                replace(metadata, digest=found).save(self.folder)
        if any(done.values()) and (unknown := sorted(self.counts().keys() - set(self.stats.languages))):
            progress(f"languages that have no mean vector yet, so build the index anew soon: {', '.join(unknown)}")
        return done

    def put(self, documents: Sequence[Document], vectors: Vectors, *, same_kinds: bool = True) -> None:
        """Add documents whose plain vectors are known, all of them or none, in place of those with the same ids.

        For several writers in one process, the caller lets them write one at a time.

        Args:
            documents: Each with its language.
            vectors: What ``encoder`` gives for their titles and texts, shape ``[documents, dimension]``.
            same_kinds: Refuse a field of metadata of another kind than in the documents that stay, because filters
                could no longer compare it.

        Raises:
            PanglotError: An id occurs twice, a shape is wrong, a number is not finite, or a field has another kind.
        """
        languages = [each.language for each in documents]
        centered = center(self.debiasing, vectors, languages, "passage")
        IndexMetadata.forget_documents(self._place, self.store.build)
        self.store.upsert(documents, {"plain": vectors, "centered": centered}, same_kinds=same_kinds)
        self.lexical.changed()
        if self.debiased:
            # Languages that were not fitted are said once.
            self._languages.of([], sorted({*languages}))

    def delete(self, ids: str | int | Collection[str | int]) -> int:
        """Remove documents by id, or one by its id, and return how many were there."""
        names = [str(each) for each in ([ids] if isinstance(ids, str | int) else ids)]
        if any(self.store.get(names)):
            IndexMetadata.forget_documents(self._place, self.store.build)
        count = self.store.delete(names)
        self.lexical.changed()
        return count

    def refresh(self) -> bool:
        """Take in what other processes have written since, and return whether there was anything."""
        changed = self.store.refresh()
        if changed:
            self.lexical.reload()
        return changed

    def successor(self) -> Self | None:
        """Return the index that was put in the place of this one, open and with the same models, or None.

        Another index is there if the folder was replaced, also by an older copy of it, or if it is a symbolic link that
        now leads elsewhere.

        Raises:
            PanglotError: What is there cannot be opened, or was built with another model.
        """
        metadata, place = IndexMetadata.open(self.folder), self.folder.resolve()
        if metadata.build == self.store.build and place == self._place:
            # Read first, because every write here raises it.
            version = self.store.version
            if version is None or Manifest.read(place / "store").version >= version:
                return None
        if metadata.fingerprint not in (self._built_with, self.encoder.fingerprint):
            problem = f"the index in its place was built with another model, {metadata.name}"
            raise PanglotError(problem, file=self.folder, field="model", hint="open it anew, with its own model")
        return type(self)(self.folder, self.encoder, metadata.open_store(place), self.searcher.reranker)

    def close(self) -> None:
        """Let go of files and connections."""
        self.store.close()
