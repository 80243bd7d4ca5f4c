"""Cut long documents into passages that an encoder reads whole, at the best places that their script offers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, NamedTuple

from panglot._environment import install_command
from panglot._errors import PanglotError
from panglot.data.sentences import cut, graphemes, is_inside_run, pieces_needed, word_ends
from panglot.encoders.model_folders import BUNDLED
from panglot.encoders.protocol import Tokens, behind
from panglot.encoders.tokenizers import Counter as TokenizerCounter
from panglot.encoders.tokenizers import open_counter
from panglot.search.ingest.documents import PIECE, IdSet

if TYPE_CHECKING:
    from panglot.encoders.protocol import Encoder
    from panglot.search.document import Document

TOKENS = 256
"""The largest number of tokens of a passage, if nothing else is said and the encoder keeps as many."""

_FEWEST = 32
# Characters that are tokenized at once. A longer text is cut into stretches of so many first.
_STRETCH = 50_000


def cut_documents(
    pieces: Iterable[Sequence[Document]],
    encoder: Encoder,
    tokens: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[list[Document]]:
    """Yield documents, those that are too long as several.

    A passage has at most ``tokens`` tokens of the encoder, with its prompt and the title, which is encoded in front of
    each passage of a document. It ends at the end of a paragraph if there is one in a good place, else of a sentence,
    else of a word, and never inside of what a reader sees as one character. Passages of a document are of like length.

    Passages of the document ``7`` are ``7#1``, ``7#2``, …, and those of ``page.md#3`` are ``page.md#3.1``, …. Versions
    of a document that follow each other are cut into the same number of passages, and those in the same place share a
    group. A version with another number of passages has groups of its own.

    Args:
        pieces: Documents with their languages, as :func:`panglot.search.ingest.documents.read_documents` yields them.
        encoder: What will encode them. If it does not show its tokens, those of ``bundled`` are counted.
        tokens: The largest number, from 32 to what the encoder keeps. By default :data:`TOKENS` or what it keeps.
        progress: Called at the end with a line about what became of how many documents.

    Raises:
        PanglotError: At once, if ``tokens`` is out of range. While reading, if a passage has the id of a document.
    """
    counter = _TokenCounter(encoder, progress)
    longest = counter.longest or tokens or TOKENS
    limit = min(TOKENS, longest) if tokens is None else tokens
    if not min(_FEWEST, longest) <= limit <= longest:
        problem = f"`chunk_tokens` must be between {_FEWEST} and {longest:,}, which {encoder.name} keeps, got {limit:,}"
        raise PanglotError(problem, field="chunk_tokens", hint="leave it out, or choose a number in range")
    return _cut_all(pieces, counter, limit, progress)


def _cut_all(
    pieces: Iterable[Sequence[Document]], counter: _TokenCounter, limit: int, progress: Callable[[str], None]
) -> Iterator[list[Document]]:
    cutter, seen, sources = _Cutter(counter, limit), IdSet(), IdSet()
    languages = Counter[str]()
    documents, what = 0, "page"
    for groups in _groups(each for piece in pieces for each in piece):
        found = cutter.cut(groups)
        if places := seen.add([each.id for each in found]):
            problem = f"a passage would have the id {found[places[0]].id!r} of another document"
            raise PanglotError(problem, field="id", hint="give the documents other ids")
        # Sections of a page count as one page.
        paths = [each.metadata.get("path") for group in groups for each in group]
        what = what if any(paths) else "document"
        names = [str(path or each.id) for path, each in zip(paths, chain.from_iterable(groups), strict=True)]
        documents += len(names) - len(sources.add(names))
        languages.update(each.language for each in found)
        yield found
    total = languages.total()
    shares = ", ".join(f"{code} {number / total:.0%}" for code, number in languages.most_common(8))
    more = ", …" if len(languages) > 8 else ""
    passages = f"{total:,} passage{'s' * (total != 1)} of at most {limit:,} tokens"
    progress(f"{documents:,} {what}{'s' * (documents != 1)} became {passages}{f' ({shares}{more})' * bool(total)}")
    for note in cutter.notes():
        progress(note)


def _groups(documents: Iterable[Document]) -> Iterator[list[list[Document]]]:
    """Yield about a thousand documents at a time, those of one group that follow each other as one list."""
    waiting: list[list[Document]] = []
    for _, members in groupby(documents, lambda each: each.group or f"\0{each.id}"):
        while part := list(islice(members, PIECE)):
            waiting.append(part)
        if sum(map(len, waiting)) >= PIECE:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


class _TokenCounter:
    """Count the tokens of an encoder, or of the bundled one if it does not show its own."""

    def __init__(self, encoder: Encoder, progress: Callable[[str], None]) -> None:
        found = behind(encoder, "tokens")
        self.longest: int | None = getattr(found, "max_length", None)
        if found is None:
            progress(f"{encoder.name} does not show its tokens, so those of {BUNDLED} are counted")
        self._tokens: Callable[[Sequence[str]], list[Tokens]] = found.tokens if found is not None else _bundled().tokens

    @cached_property
    def _others(self) -> int:
        """How many tokens a text has that are not its own."""
        return self._tokens([""])[0].total

    def __call__(self, texts: Sequence[str], above: int = 0) -> list[Tokens | None]:
        """Return the tokens of each text that has more than some number, and None for others."""
        # A token is at least a byte, but for those of the prompt, those around a text, and one that begins it.
        least = above - self._others - 1 if above else -1
        rows = [row for row, text in enumerate(texts) if len(text.encode("utf-8", "replace")) > least]
        found: list[Tokens | None] = [None] * len(texts)
        if not rows:
            return found
        for row, each in zip(rows, self._tokens([texts[row] for row in rows]), strict=True):
            found[row] = each if each.total > above else None
        return found


@cache
def _bundled() -> TokenizerCounter:
    return open_counter(BUNDLED)


class _Places(NamedTuple):
    """Where the tokens of a text begin, and how many of them a passage may have."""

    starts: Sequence[int]
    room: int

    @property
    def number(self) -> int:
        """How many passages the text needs."""
        return pieces_needed(len(self.starts), self.room)


class _Cutter:
    """Cut documents, and count what could not be done well."""

    def __init__(self, counter: _TokenCounter, limit: int) -> None:
        self._counter, self._limit = counter, limit
        self._titles = self._inside = 0

    def notes(self) -> Iterator[str]:
        """Yield lines about what could not be done well."""
        if self._titles:
            yield f"titles that were shortened to half of a passage: {self._titles:,}"
        if self._inside:
            hint = "" if word_ends("ก", "th") else f" ({install_command('lexical')} brings dictionaries of words)"
            yield f"cuts that may be inside of words: {self._inside:,}{hint}"

    def cut(self, groups: Sequence[Sequence[Document]]) -> list[Document]:
        """Return the documents of groups as passages."""
        stretches = [[part for each in group for part in _stretches(each)] for group in groups]
        flat = [part for parts in stretches for part in parts]
        counted = zip(flat, self._counter([each.full_text for each in flat], self._limit), strict=True)
        cuts: list[tuple[Document, str]] = []
        for group, parts in zip(groups, stretches, strict=True):
            found = list(islice(counted, len(parts)))
            if all(tokens is None for _, tokens in found):
                cuts += [(each, each.text) for each in parts]
                continue
            placed = [self._placed(*each) for each in found]
            # Stretches of a document are not laid beside its other versions.
            number = max(places.number for _, places in placed) if len(parts) == len(group) else 1
            # A version that is much shorter than the others says something else.
            counts = [number if len(places.starts) > number * places.room / 8 else 1 for _, places in placed]
            together = zip(placed, counts, strict=True)
            cuts += self._fitting([(each, text) for (each, at), n in together for text in self._texts(each, at, n)])
        return list(_numbered(cuts))

    def _placed(self, document: Document, tokens: Tokens | None = None) -> tuple[Document, _Places]:
        """Return where the tokens of a document's text begin. A title that takes more than half is shortened."""
        whole = graphemes(document.title)
        shorter = 0
        while True:
            (each,) = [tokens] if tokens else self._counter([document.full_text])
            tokens = None
            total, starts = each or Tokens(0, [])
            head = len(document.full_text) - len(document.text)
            titled, others = bisect_left(starts, head), total - len(starts)
            most = max(self._limit // 2 - others, 0)
            if titled <= most:
                break
            self._titles += not shorter
            keep = most - shorter
            fitting = [0, *whole][bisect_right(whole, starts[keep])] if keep > 0 else 0
            document = replace(document, title=document.title[:fitting].strip())
            shorter += 1
        # Tokens may come out otherwise where a text begins and ends, though seldom by more than one.
        room = max(self._limit - others - titled - 2, 1)
        return document, _Places([start - head for start in starts[titled:]], room)

    def _texts(self, document: Document, places: _Places, number: int) -> list[str]:
        found = cut(document.text, document.language, places.starts, places.room, number)
        for _, end in found[:-1]:
            blind = not is_inside_run(document.text, end) or not word_ends("ก", "th")
            self._inside += blind and document.text[end - 1].isalnum() and document.text[end].isalnum()
        return [text for begin, end in found if (text := document.text[begin:end].strip())]

    def _fitting(self, cuts: list[tuple[Document, str]]) -> list[tuple[Document, str]]:
        """Return passages, those that are still too long in two, as far as there is a place to cut."""
        texts = [replace(each, text=text).full_text for each, text in cuts]
        found: list[tuple[Document, str]] = []
        again = False
        for (each, text), tokens in zip(cuts, self._counter(texts, self._limit), strict=True):
            if tokens is None or len(graphemes(text)) == 1:
                found.append((each, text))
                continue
            part, places = self._placed(replace(each, text=text), tokens)
            found += [(replace(part, text=each.text), half) for half in self._texts(part, places, 2)]
            again = True
        return self._fitting(found) if again else found


def _stretches(document: Document) -> Iterator[Document]:
    """Yield a very long document in stretches, so that its tokens fit into memory."""
    text, begin = document.text, 0
    while len(text) - begin > _STRETCH:
        window = text[begin : begin + _STRETCH]
        # The last character may go on behind the window.
        ends = graphemes(window)[:-1] or [len(window)]
        end = next((each for each in reversed(ends[len(ends) // 2 :]) if window[each - 1] in "\n "), ends[-1])
        yield replace(document, text=window[:end])
        begin += end
    yield replace(document, text=text[begin:]) if begin else document


def _numbered(cuts: Iterable[tuple[Document, str]]) -> Iterator[Document]:
    for _, members in groupby(cuts, lambda each: each[0].id):
        passages = list(members)
        mark = "." if "#" in passages[0][0].id else "#"
        for number, (each, text) in enumerate(passages, 1):
            if len(passages) == 1:
                yield replace(each, text=text)
                continue
            place = f"{number}/{len(passages)}"
            group = f"{each.group}#{place}" if each.group else ""
            yield replace(each, id=f"{each.id}{mark}{number}", text=text, group=group)
