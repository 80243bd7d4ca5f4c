"""The index: documents in, answers in any language out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from panglot._errors import PanglotError
from panglot.debiasing import transform
from panglot.search.ingest.build import build, moved
from panglot.search.ingest.shards import vectors_of
from panglot.search.metadata import IndexMetadata, check_model, opened
from panglot.search.query_language import check_question, language_of, near
from panglot.search.ranking.candidates import Candidate, candidates
from panglot.search.ranking.modes import shares, space
from panglot.search.ranking.reranking import DEPTH, Reranker
from panglot.search.ranking.stats import LanguageStats
from panglot.search.request import SearchRequest
from panglot.search.result import SearchResult
from panglot.search.searcher import entries_of, hits_of, reranked_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.document import Document
    from panglot.search.ingest.build import Documents
    from panglot.search.ranking.lexical import Words
    from panglot.search.storage.store import Store

LEXICAL = "lexical"


class Index:
    """Documents of any languages with their vectors, searched in any language.

    ``Index.build("docs.jsonl", "index")`` makes one, ``Index.open("index")`` opens it again.

    Attributes:
        folder: Where it is.
        encoder: Gives plain vectors of questions and documents; what a debiased model adds is in the index.
        store: What keeps documents and vectors.
        pool: The documents by language, as they were when it was built.
        remedy: What centering does to the vectors of both sides.
        reranker: The cross-encoder, or None.
    """

    def __init__(self, folder: Path, encoder: Encoder, store: Store, reranker: Reranker | None = None) -> None:
        self.folder, self.encoder, self.store = folder, encoder, store
        self.pool = LanguageStats.open(folder)
        self.remedy = transform.read(folder, hint="build the index again")[0]
        self.reranker = reranker
        self._words: Words | None = None

    @classmethod
    def build(
        cls,
        documents: Documents,
        folder: str | Path,
        *,
        model: str | Path | Encoder = "bundled",
        engine: str = "torch",
        store: str = "",
        on: str = "",
        tell: Callable[[str], None] | None = None,
    ) -> Self:
        """Encode documents and write an index. After a kill, the same call goes on with what was encoded.

        Args:
            documents: A file of JSON lines, Parquet or CSV; or documents, each a
                :class:`panglot.search.document.Document` or a mapping with the fields of a file's row. Languages are
                detected where they are missing.
            folder: Where to write; there must be no index yet.
            model: What :func:`panglot.load` understands, or an encoder.
            engine: What runs the model while documents are encoded: ``torch``, or ``openvino``.
            store: Where documents and vectors are kept: empty for the folder, or ``milvus://host:port/name``.
            on: Where texts are encoded: empty for here, or ``processes:N``, ``ray``, or ``ray://host:port``.
            tell: Called with a line for people before each long step.

        Raises:
            PanglotError: The documents cannot be read, or the folder cannot be written or is an index already.
        """
        folder = Path(folder)
        return cls.open(
            folder, model=build(documents, folder, model=model, engine=engine, store=store, on=on, tell=tell)
        )

    @classmethod
    def open(cls, folder: str | Path, *, model: str | Path | Encoder | None = None, reranker: str = "") -> Self:
        """Open an index.

        Args:
            folder: Where it is.
            model: The model it was built with, where it has moved or was given as an object.
            reranker: A sentence-transformers ``CrossEncoder``, folder or hub name: it looks at the first 50 candidates
                of the mode and has the last word on their order.

        Raises:
            PanglotError: There is no index, or the model is another one.
        """
        from panglot.search.storage.opening import open_store

        folder = Path(folder)
        head = IndexMetadata.open(folder)
        if model is None and not head.model:
            raise PanglotError(
                f"it was built with an encoder that has no name to open it by, {head.name}", file=folder, field="model",
                hint="give that encoder",
            )  # fmt: skip
        # What is quick to find wrong comes before the model.
        store = open_store(head.store, folder / "store", spaces=head.spaces, dimension=head.dimension)
        base = opened(model if model is not None else head.model)[1]
        check_model(head, base, folder)
        return cls(folder, base, store, Reranker(reranker) if reranker else None)

    def __len__(self) -> int:
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has, the largest first."""
        return self.store.counts()

    def encode(self, questions: Sequence[str]) -> Vectors:
        """Return the plain vectors of questions, shape ``[questions, dimension]``."""
        return self.encoder.encode(list(questions), "question")

    def search(self, question: str, k: int = 10, **options: Any) -> SearchResult:
        """Return the best passages for a question.

        Args:
            question: In any language.
            k: How many.
            options: The other fields of :class:`panglot.search.request.SearchRequest`; languages also as one text,
                ``"de,fr"``.

        Raises:
            PanglotError: The question is empty, or an option is wrong.
        """
        known = SearchRequest.__dataclass_fields__
        for name in options:
            if name not in known:
                raise PanglotError(f"no option {name!r}", field=name, hint=f"use one of {', '.join(known)}")
        given: dict[str, Any] = {
            name: tuple(value.split(",")) if name in ("languages", "reader") and isinstance(value, str) else value
            for name, value in options.items()
        }
        wish = SearchRequest(k=k, **given).check()
        check_question(question)
        begin = perf_counter()
        vector = self.encode([question])[0]
        spent = perf_counter() - begin
        answer = self.answer(question, vector, wish)
        return replace(answer, seconds={"encode": spent, **answer.seconds})

    def answer(
        self, question: str, vector: Vectors, wish: SearchRequest, sentences: Encoder | None = None
    ) -> SearchResult:
        """Return the best passages for a question whose vector is known; nothing is encoded but for highlights.

        Args:
            question: Its text.
            vector: Its plain vector, as :meth:`encode` gives it, shape ``[dimension]``.
            wish: How to search.
            sentences: Encodes the sentences of highlights; by default the index's encoder.

        Raises:
            PanglotError: The question is empty, or the wish cannot be fulfilled.
        """
        check_question(question)
        begin = perf_counter()
        counts = self.counts()
        wish = _found_in(wish.check(), counts)
        language = wish.language or language_of(question, (*counts, *wish.reader))
        want = max(wish.k, DEPTH) if self.reranker is not None or wish.lexical else wish.k
        entries = entries_of(self, question, vector, language, wish, want, tuple(counts))
        searched = perf_counter()
        if self.reranker is not None:
            entries = reranked_entries(self.reranker, self.store, question, entries)
        hits = hits_of(self, vector, wish, entries[: wish.k], sentences or self.encoder)
        seconds = {"search": searched - begin, "rank": perf_counter() - searched}
        searchable = {code: number for code, number in counts.items() if not wish.languages or code in wish.languages}
        told = shares([hit.document.language for hit in hits], searchable)
        return SearchResult(question, language, not wish.language, wish.mode, tuple(hits), told, seconds)

    def candidates(
        self,
        vectors: Vectors,
        languages: Sequence[str],
        wish: SearchRequest,
        depth: int,
        pool: Collection[str] | None = None,
    ) -> list[list[Candidate]]:
        """Return candidates by a mode alone for many questions at once, best first: the first ``depth`` are right.

        More may follow, in which there are gaps.

        Args:
            vectors: Plain vectors of the questions.
            languages: The language of each.
            wish: Mode, languages, reader and weight, checked.
            depth: How many.
            pool: The documents' languages, if the caller has asked for them already.
        """
        known = tuple(self.counts() if pool is None else pool)
        return candidates(self.store, self.moved(vectors, languages, wish), wish, depth, known)

    def moved(self, vectors: Vectors, languages: Sequence[str], wish: SearchRequest) -> Vectors:
        """Return questions' vectors in the space of a mode, shape ``[questions, dimension]``.

        Args:
            vectors: Plain vectors.
            languages: The language of each question.
            wish: Has the mode.
        """
        return moved(self.remedy, vectors, languages, "question") if space(wish.mode) == "centered" else vectors

    def add(self, documents: Documents) -> int:
        """Add documents, in place of those with the same ids, and return how many.

        The languages' means stay those of the building: build anew when languages come or the documents change much.

        Raises:
            PanglotError: The documents cannot be read, or the encoder gives something else than finite vectors.
        """
        from panglot.search.ingest.documents import read_documents

        number = 0
        with self.store.bulk():
            for piece in read_documents(documents):
                codes = [each.language for each in piece]
                vectors = vectors_of(self.encoder, [each.id for each in piece], [each.passage for each in piece], codes)
                centered = moved(self.remedy, vectors, codes, "passage")
                self.store.upsert(piece, {"plain": vectors, "centered": centered})
                number += len(piece)
        self._forget_words()
        return number

    def delete(self, ids: Collection[str]) -> int:
        """Remove documents by id, or one by its id, and return how many were there."""
        number = self.store.delete([ids] if isinstance(ids, str) else ids)
        if number:
            self._forget_words()
        return number

    def refresh(self) -> bool:
        """Take in what another process has written since, and return whether there was anything."""
        again = getattr(self.store, "refresh", None)
        changed = bool(again()) if again is not None else False
        if changed:
            self._words = None
        return changed

    def words(self) -> Words:
        """Return the index of words, made now where there is none yet.

        Raises:
            PanglotError: bm25s or icu4py is not installed.
        """
        from panglot.search.ranking.lexical import Words, is_of, require, write

        if self._words is None:
            require()
            # A store in the folder numbers its versions: words of an older one are another process's, and stale.
            version = getattr(self.store, "version", None)
            if not is_of(self.folder / LEXICAL, version):
                write(self.folder / LEXICAL, self.documents(), version)
            self._words = Words(self.folder / LEXICAL)
        return self._words

    def documents(self) -> Iterator[list[Document]]:
        """Yield all documents, in pieces."""
        for names in self.store.ids():
            yield [each for each in self.store.get(names) if each is not None]

    def close(self) -> None:
        """Let go of files and connections."""
        self.store.close()

    def _forget_words(self) -> None:
        import shutil

        self._words = None
        shutil.rmtree(self.folder / LEXICAL, ignore_errors=True)


def _found_in(wish: SearchRequest, languages: Collection[str]) -> SearchRequest:
    """Return a wish whose languages are those of the documents: ``en`` is ``en-US`` where only that is there."""
    language = next(iter(near(wish.language, languages)), wish.language) if wish.language else ""
    there = {name: _forms(codes, languages) for name, codes in (("languages", wish.languages), ("reader", wish.reader))}
    return replace(wish, language=language, **there)


def _forms(codes: Iterable[str], languages: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for code in codes for form in near(code, languages) or [code]))
