"""What a search can be asked.

:class:`SearchRequest` is the one declaration of the options of a search. The HTTP schema of the service, the options
of ``panglot search`` and the arguments of the retrievers are made from its fields by :func:`search_options`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from panglot._errors import PanglotError, located
from panglot.data.language import canonical
from panglot.search.ranking.modes import MODES, Mode

__all__ = ["MAX_CODE_LENGTH", "Option", "SearchRequest", "search_options"]

MAX_CODE_LENGTH = 64
"""Characters of a language code."""


@dataclass(frozen=True)
class Option:
    """One option of a search.

    Attributes:
        name: Its name in :class:`SearchRequest`, in JSON and in addresses.
        type: ``str``, ``int``, ``float``, ``bool``, or ``tuple`` for a list of language codes.
        default: Its default.
        help: One line for people.
        minimum: The least number, or the least number of characters.
        maximum: The greatest number, of characters in a text, or of codes in a list.
        choices: The only values allowed, with what each means; empty: any.
    """

    name: str
    type: type
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: dict[str, str] = field(default_factory=dict[str, str])

    def check(self, value: object) -> None:
        """Raise a :class:`PanglotError` if ``value`` is of another type or out of bounds.

        >>> next(option for option in search_options() if option.name == "k").check(5000)
        Traceback (most recent call last):
        panglot._errors.PanglotError: field "k": `k` must be between 1 and 1000, got 5000. Fix: choose a value in range
        """
        kinds = {float: (int, float), tuple: (str, tuple, list)}.get(self.type, (self.type,))
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.type is not bool):
            kind = "a list of language codes" if self.type is tuple else f"of type {self.type.__name__}"
            self._refuse(f"must be {kind}, got {value!r}", "change its type")
        if self.choices and value not in self.choices:
            self._refuse(f"must be one of {', '.join(self.choices)}, got {value!r}", "choose one of these")
        low, high = self.minimum, self.maximum
        if isinstance(value, str | tuple | list):
            size, unit = len(value), "characters" if self.type is str else "codes"
            if high is not None and size > high:
                self._refuse(f"must have at most {high:,.0f} {unit}, got {size:,}", "shorten it")
            if low and not (isinstance(value, str) and value.strip()):
                self._refuse("must not be empty", "ask something")
        # A comparison with NaN is false, so that this refuses it too.
        elif low is not None and high is not None and not low <= float(value) <= high:  # type: ignore[arg-type]
            self._refuse(f"must be between {low:g} and {high:g}, got {value}", "choose a value in range")

    def _refuse(self, problem: str, hint: str) -> None:
        raise PanglotError(f"`{self.name}` {problem}", field=self.name, hint=hint)


def _option(default: Any, text: str, minimum: float | None = None, maximum: float | None = None) -> Any:
    return field(default=default, metadata={"help": text, "minimum": minimum, "maximum": maximum})


@dataclass(frozen=True)
class SearchRequest:
    """A query and how to search for it.

    Language codes may be in any style, as a sequence or as one text such as ``"de,fr"``; :meth:`validate` makes them
    canonical.
    """

    query: str = _option("", "Query, in any language.", 1, 10_000)
    k: int = _option(10, "Number of results to return.", 1, 1000)
    language: str = _option("", "Language of the query; detected if it is not given.", None, MAX_CODE_LENGTH)
    languages: Sequence[str] = _option((), "Return only documents in these languages.", None, 500)
    mode: Mode = _option("plain", "How languages are weighed.")  # noqa: RUF009
    preferred_languages: Sequence[str] = _option((), "Languages that the mode `preferred` prefers.", None, 500)
    boost: float = _option(0.05, "Added to the cosine of documents in a preferred language.", 0, 2)
    collapse: bool = _option(default=False, text="Return translations of one document as one result.")
    hybrid: bool = _option(default=False, text="Also rank by matching words (BM25) and fuse both rankings.")
    highlight: bool = _option(default=False, text="Mark the best sentence of the first 50 results.")

    def validate(self) -> SearchRequest:
        """Return the same request with canonical language codes.

        Raises:
            PanglotError: A value is out of its range, a language does not exist, or the mode lacks what it needs.

        >>> SearchRequest("Drucken", languages=("deu", "de", "zh_TW")).validate().languages
        ('de', 'zh-Hant')
        """
        for option in search_options():
            option.check(getattr(self, option.name))
        for name in MODES[self.mode].requires:
            if not getattr(self, name):
                raise PanglotError(
                    f"the mode `{self.mode}` requires `{name}`", field=name, hint=f"give `{name}` or use another mode"
                )
        return replace(
            self,
            language=next(iter(_codes(self.language, "language")), ""),
            languages=_codes(self.languages, "languages"),
            preferred_languages=_codes(self.preferred_languages, "preferred_languages"),
        )


def search_options() -> tuple[Option, ...]:
    """Return the options of a search, the query first, in the order of the fields of :class:`SearchRequest`."""
    return _OPTIONS


def _as_option(name: str, default: Any, metadata: Any) -> Option:
    choices: dict[str, str] = {key: mode.summary for key, mode in MODES.items()} if name == "mode" else {}
    return Option(name, type(default), default, **metadata, choices=choices)


_OPTIONS = tuple(_as_option(each.name, each.default, each.metadata) for each in fields(SearchRequest))


def _codes(codes: str | Sequence[str], field: str) -> tuple[str, ...]:
    """Return canonical codes, each once, of a text with commas or a sequence of such texts."""
    found: dict[str, None] = {}
    for code in ",".join([codes] if isinstance(codes, str) else codes).split(","):
        if code.strip():
            with located(field=field):
                found[canonical(code.strip())] = None
    return tuple(found)
