"""What a search can be asked, and what it returns.

:class:`SearchRequest` is the one declaration of the options of a search. The HTTP schema of the service, the options
of ``panglot search`` and the arguments of the retrievers are made from its fields by :func:`search_options`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, cast

from panglot._errors import PanglotError, located
from panglot.data.language import canonical
from panglot.data.letters import encodable
from panglot.search.document import Document, Filter, Group
from panglot.search.filter_syntax import parse_filter
from panglot.search.query_language import Source
from panglot.search.ranking.modes import MODES, Mode

MAX_CODE_LENGTH = 64  # Characters of a language code.
MAX_FILTER_LENGTH = 10_000  # Characters of a filter as text.
MAX_DEPTH = 10_000  # Results that can be reached by paging.


@dataclass(frozen=True)
class Option:
    """One option of a search."""

    name: str  # In SearchRequest, in JSON and in addresses.
    type: type  # A list of language codes or names is a tuple, and a filter a Filter.
    default: Any  # None: the option is not used.
    help: str  # One line for people.
    minimum: float | None = None  # Of a number, or of the number of characters.
    maximum: float | None = None  # Of a number, or of the number of characters, codes or names.
    item: str = "language code"  # What a list consists of.
    choices: dict[str, str] = field(default_factory=dict[str, str])  # What each allowed value means. Empty: any value.

    def check(self, value: object) -> None:
        """Raise a :class:`PanglotError` if ``value`` is of another type or out of bounds.

        >>> next(option for option in search_options() if option.name == "k").check(5000)
        Traceback (most recent call last):
        panglot._errors.PanglotError: field "k": `k` must be between 1 and 1000, got 5000. Fix: choose a value in range
        """
        if value is None and self.default is None:
            return
        if self.type is Filter:
            if isinstance(value, str) and len(value) > MAX_FILTER_LENGTH:
                self._refuse(f"must have at most {MAX_FILTER_LENGTH:,} characters, got {len(value):,}", "shorten it")
            parse_filter(value)
            return
        kinds = {float: (int, float), tuple: (str, tuple, list)}.get(self.type, (self.type,))
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.type is not bool):
            kind = f"a list of {self.item}s" if self.type is tuple else f"of type {self.type.__name__}"
            self._refuse(f"must be {kind}, got {value!r}", "change its type")
        for each in [value] if isinstance(value, str) else value if isinstance(value, tuple | list) else ():
            if not isinstance(each, str):
                self._refuse(f"must consist of texts, got {each!r}", "put it in quotes")
            encodable(each, self.name)
        if self.choices and value not in self.choices:
            self._refuse(f"must be one of {', '.join(self.choices)}, got {value!r}", "choose one of these")
        low, high = self.minimum, self.maximum
        if isinstance(value, str | tuple | list):
            unit = "characters" if self.type is str else f"{self.item}s"
            if high is not None and len(value) > high:
                self._refuse(f"must have at most {high:,.0f} {unit}, got {len(value):,}", "shorten it")
            if low and not (isinstance(value, str) and value.strip()):
                self._refuse("must not be empty", "ask something")
        # A comparison with NaN is false, so that this refuses it too.
        elif low is not None and high is not None and not low <= value <= high:  # type: ignore[arg-type]
            self._refuse(f"must be between {low:g} and {high:g}, got {value}", "choose a value in range")

    def _refuse(self, problem: str, hint: str) -> None:
        raise PanglotError(f"`{self.name}` {problem}", field=self.name, hint=hint)


def _option(
    default: Any, text: str, minimum: float | None = None, maximum: float | None = None, **more: Any
) -> Any:  # fmt: skip
    return field(default=default, metadata={"help": text, "minimum": minimum, "maximum": maximum, **more})


@dataclass(frozen=True)
class SearchRequest:
    """A query and how to search for it.

    Language codes may be in any style, as a sequence or as one text such as ``"de,fr"``. :meth:`validate` makes them
    canonical. ``und`` means documents in no known language, and a query whose language is detected.
    """

    query: str = _option("", "Query, in any language.", 1, 10_000)
    k: int = _option(10, "Number of results to return.", 1, 1000)
    offset: int = _option(0, "Number of best results to leave out, which earlier pages showed.", 0, MAX_DEPTH)
    language: str = _option("", "Language of the query. Detected by default.", None, MAX_CODE_LENGTH)
    default_language: str = _option(
        "", "Language of the query if it is not given and its detection is doubtful.", None, MAX_CODE_LENGTH
    )
    languages: Sequence[str] = _option((), "Return only documents in these languages.", None, 500)
    where: str | Mapping[str, Any] | Filter | None = _option(  # noqa: RUF009
        None, "Return only documents whose metadata pass this filter, such as: year >= 2024", type=Filter
    )
    mode: Mode = _option("plain", "Ranking mode, which says how languages are weighed.")  # noqa: RUF009
    preferred_languages: Sequence[str] = _option(
        (), "Languages whose documents get the boost, in any mode. Collapsed results show them first.", None, 500
    )
    boost: float = _option(0.05, "Number to add to the cosine of documents in a preferred language.", 0, 2)
    collapse: bool = _option(default=False, text="Return translations of one document as one result.")
    hybrid: bool = _option(default=False, text="Also rank by matching words (BM25) and fuse both rankings.")
    lexical_weight: float = _option(0.5, "Weight of the ranking by words. That by vectors has the rest.", 0, 1)
    highlight: bool = _option(default=False, text="Mark the best sentence of the first 50 results, if one matches.")
    score_threshold: float | None = _option(
        None, "Leave out results with a lower score. What a score means depends on the mode.", -1000, 1000, type=float
    )
    fields: Sequence[str] = _option(
        (), "Fields to return, from text, title and metadata. All by default.", None, 500, item="name"
    )

    @classmethod
    def of(cls, options: Mapping[str, Any], otherwise: str = "") -> SearchRequest:
        """Return a request without a query for a retriever's options, after checking their names and values.

        ``otherwise`` names what else the caller takes.
        """
        return cls().changed(options, otherwise)

    def changed(self, options: Mapping[str, Any], otherwise: str = "") -> SearchRequest:
        """Return this request with some other options, after checking their names and values.

        Filters are joined, so that a filter of one query never opens what ``where`` of this request closes.
        """
        known = [option.name for option in search_options()[1:]]
        for name in options:
            if name not in known:
                hint = "use `where`" if "filter" in name else f"use one of {', '.join(known)}{otherwise}"
                raise PanglotError(f"a search has no option `{name}`", field=name, hint=hint)
        made = replace(self, **options)
        replace(made, query=made.query or "any").validate()
        if self.filter is None or "where" not in options:
            return made
        return replace(made, where=Group("and", (self.filter, made.filter)) if made.filter else self.filter)

    def validate(self) -> SearchRequest:
        """Return the same request with canonical language codes, and with the filter read.

        Raises:
            PanglotError: A value is out of its range, a language does not exist, the filter cannot be read, or the mode
                lacks what it needs.

        >>> SearchRequest("Drucken", languages=("deu", "de", "zh_TW")).validate().languages
        ('de', 'zh-Hant')
        """
        for option in search_options():
            option.check(getattr(self, option.name))
        for name in MODES[self.mode].requires:
            if not getattr(self, name):
                problem = f"the mode `{self.mode}` requires `{name}`"
                raise PanglotError(problem, field=name, hint=f"give `{name}` or use another mode")
        if self.offset + self.k > MAX_DEPTH:
            problem = f"`offset` and `k` must be at most {MAX_DEPTH:,} together, got {self.offset + self.k:,}"
            raise PanglotError(problem, field="offset", hint="ask more precisely, or filter by language")
        if self.lexical_weight != SearchRequest.lexical_weight and not self.hybrid:
            hint = "add `hybrid`, or leave the weight out"
            raise PanglotError("`lexical_weight` requires `hybrid`", field="lexical_weight", hint=hint)
        names = _parts(self.fields)
        if self.highlight and names and "text" not in names:
            raise PanglotError("`highlight` requires `text` in `fields`", field="fields", hint="add text")
        lists = {name: _codes(getattr(self, name), name) for name in ("languages", "preferred_languages")}
        single = {name: _code(getattr(self, name), name) for name in ("language", "default_language")}
        return replace(self, **lists, **single, fields=names, where=self.filter)

    @property
    def filter(self) -> Filter | None:
        """What ``where`` says, read.

        Raises:
            PanglotError: It cannot be read.
        """
        return None if self.where is None else parse_filter(self.where)


@cache
def search_options() -> tuple[Option, ...]:
    """Return the options of a search, the query first, in the order of the fields of :class:`SearchRequest`."""
    modes: dict[str, str] = {name: mode.summary for name, mode in MODES.items()}
    return tuple(
        Option(
            name=each.name,
            default=each.default,
            choices=modes if each.name == "mode" else {},
            **cast("dict[str, Any]", {"type": type(each.default), **each.metadata}),
        )
        for each in fields(SearchRequest)
    )


def _parts(texts: str | Sequence[str]) -> tuple[str, ...]:
    """Return the parts, each once, of a text with commas or a sequence of such texts."""
    parts = ",".join([texts] if isinstance(texts, str) else texts).split(",")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _codes(codes: str | Sequence[str], field: str) -> tuple[str, ...]:
    """Return canonical codes, or ``und``, each once, of a text with commas or a sequence of such texts."""
    if not codes:
        return ()
    with located(field=field):
        return tuple(dict.fromkeys("und" if code.lower() == "und" else canonical(code) for code in _parts(codes)))


def _code(code: str, field: str) -> str:
    codes = _codes(code, field)
    if len(codes) > 1:
        raise PanglotError(f"`{field}` must be one language, got {code!r}", field=field, hint="choose one of them")
    return codes[0] if codes and codes != ("und",) else ""


@dataclass(frozen=True)
class Version:
    """One of the translations that are collapsed into a hit.

    Attributes:
        document: The document.
        score: Its cosine with the query and what the mode and the boost add. Matching words and a cross-encoder add
            nothing to it. Without them, the score of a hit is the highest of its versions' scores.
    """

    document: Document
    score: float

    def as_json(self) -> dict[str, Any]:
        """Return it as :meth:`SearchResult.as_json` has it, without the text."""
        document = self.document
        return {
            "id": document.id, "language": document.language, "score": round(float(self.score), 6),
            "title": document.title, "metadata": dict(document.metadata),
        }  # fmt: skip


@dataclass(frozen=True)
class Hit:
    """One document that was found.

    Attributes:
        document: The document.
        rank: Counted from 1.
        score: What the results are sorted by. It is comparable within one result only.
        explanation: What the score consists of, in the order in which it was applied: ``cosine``, ``language`` (what
            the mode and the boost added), ``dense`` and ``lexical`` (reciprocal ranks), ``reranker``.
        languages: The document's id by its language. If results are collapsed, those of its versions follow.
        highlight: Begin and end of the best sentence in characters of the text. None if it was not asked for, or if no
            sentence matches the query, or the text has only one.
        matched: The id of the document that score and explanation are of. It differs from the document's own only if
            results are collapsed, and a translation of it ranked higher.
        versions: If results are collapsed and it has a group, the group's best document in each language, by falling
            score. The document itself is among them. A filter of the request holds for them too.
    """

    document: Document
    rank: int
    score: float
    explanation: Mapping[str, float]
    languages: Mapping[str, str] = field(default_factory=dict[str, str])
    highlight: tuple[int, int] | None = None
    matched: str = ""
    versions: tuple[Version, ...] = ()

    @property
    def about_versions(self) -> dict[str, Any]:
        """What the retrievers add to a document's metadata: ``languages``, and of a collapsed hit its ``versions``.

        Fields of the document with these names stay as they are.
        """
        listed = {"matched": self.matched, "versions": [each.as_json() for each in self.versions]}
        return {"languages": dict(self.languages), **(listed if self.versions else {})}

    def as_json(self) -> dict[str, Any]:
        """Return it as :meth:`SearchResult.as_json` has it."""
        document = self.document
        return {
            "id": document.id, "rank": self.rank, "score": round(float(self.score), 6),
            "title": document.title, "text": document.text, "language": document.language,
            "languages": dict(self.languages), "metadata": dict(document.metadata),
            "explanation": {name: round(float(part), 6) for name, part in self.explanation.items()},
            "highlight": list(self.highlight) if self.highlight else None,
            "matched": self.matched or document.id,
            "versions": [version.as_json() for version in self.versions],
        }  # fmt: skip


@dataclass(frozen=True)
class SearchResult:
    """The hits for one query.

    Attributes:
        query: As it was asked.
        language: Of the query. It is empty if it is unknown, and nothing that depends on it was used.
        detected: Whether it was detected.
        mode: The ranking mode.
        hits: Best first.
        shares: For each language that was searched, its share of the hits and its share of the documents.
        seconds: Time spent by stage: ``encode``, ``search``, ``rank``.
        language_source: How the language is known: ``declared``, ``detected``, or ``default`` if the detection was
            doubtful.
        language_confidence: Of the detection, from 0 to 1. None if the language was declared.
    """

    query: str
    language: str
    detected: bool
    mode: Mode
    hits: tuple[Hit, ...]
    shares: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    language_source: Source = "declared"
    language_confidence: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as `panglot search` with `--json` and ``/search`` give it. See docs/search-service.md."""
        return {
            "query": self.query, "language": self.language, "detected": self.detected,
            "language_source": self.language_source, "language_confidence": self.language_confidence, "mode": self.mode,
            "hits": [hit.as_json() for hit in self.hits],
            "shares": {code: {"hits": hits, "pool": pool} for code, (hits, pool) in self.shares.items()},
            "seconds": {stage: round(float(spent), 6) for stage, spent in self.seconds.items()},
        }  # fmt: skip


def language_shares(found: Sequence[str], counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return each language's share of the hits, whose languages are ``found``, and of the documents.

    >>> language_shares(["de", "de", "fr", "de"], {"de": 50, "fr": 150})
    {'de': (0.75, 0.25), 'fr': (0.25, 0.75)}
    """
    total = max(sum(counts.values()), 1)
    return {code: (found.count(code) / max(len(found), 1), number / total) for code, number in counts.items()}
