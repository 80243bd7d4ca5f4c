"""A collection as rows of ``group, language, question, passage``, as far as rows can hold it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from panglot._errors import PanglotError
from panglot.corpus.collection import Collection


@dataclass(frozen=True)
class Line:
    """One row to write."""

    group: str
    language: str
    question: str | None
    passage: str | None

    def values(self) -> dict[str, str | None]:
        """Return the row as columns."""
        return {"group": self.group, "language": self.language, "question": self.question, "passage": self.passage}

    def json(self) -> str:
        """Return the row as a line of JSON, without what it does not have."""
        return json.dumps({key: value for key, value in self.values().items() if value is not None}, ensure_ascii=False)


def lines(collection: Collection, *, untie: bool) -> tuple[list[Line], dict[str, int]]:
    """Return the rows, and how much of what they cannot hold.

    Args:
        collection: Any.
        untie: Give questions that do not fit groups of their own, one for each passage.

    Raises:
        PanglotError: Something does not fit and may not be untied, or a text is blank.
    """
    questions, passages = collection.questions.to_pylist(), collection.passages.to_pylist()
    answers: dict[int, list[int]] = defaultdict(list)
    for question, passage in zip(*(side.tolist() for side in collection.pairs), strict=True):
        answers[question].append(passage)
    # Readers make one passage of those that are equal in one language: so does this one.
    first: dict[tuple[str, str], int] = {}
    same = [first.setdefault((p["language"], p["text"]), row) for row, p in enumerate(passages)]
    _refuse_blank(questions, "question")
    _refuse_blank(passages, "passage")
    lost = Counter[str]()
    lost["judgements of grade 0 or less"] = collection.relevance.num_rows - sum(map(len, answers.values()))
    lost["equal passages joined"] = len(passages) - len(first)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, question in enumerate(questions):
        if row in answers:
            groups[question["group"]].append(row)
        else:
            lost["questions without a relevant passage"] += 1
    out: list[Line] = []
    used: set[int] = set()
    taken = {*groups, *(p["group"] for p in passages)}
    misfits: list[str] = []
    for group, members in groups.items():
        mine = [sorted({same[p] for p in answers[q]}) for q in members]
        if _fits([questions[q]["language"] for q in members], mine, [p["language"] for p in passages]):
            asked = {questions[q]["language"]: questions[q]["text"] for q in members}
            answering = {passages[p]["language"]: passages[p]["text"] for p in mine[0]}
            both = dict.fromkeys((*asked, *answering))
            out += [Line(group, language, asked.get(language), answering.get(language)) for language in both]
        else:
            misfits.append(group)
            lost["questions untied"] += len(members)
            for q, found in zip(members, mine, strict=True):
                for passage in found:
                    own = _free(f"{group}~{len(misfits)}-{q}-{passage}", taken)
                    asks, says = questions[q], passages[passage]
                    if asks["language"] == says["language"]:
                        out.append(Line(own, asks["language"], asks["text"], says["text"]))
                    else:
                        out.append(Line(own, asks["language"], asks["text"], None))
                        out.append(Line(own, says["language"], None, says["text"]))
        used |= {p for found in mine for p in found}
    if misfits and not untie:
        raise PanglotError(
            f"{len(misfits)} groups do not fit into rows (the first: {misfits[0]!r}): they have two passages of one "
            "language that answer, or versions that other passages answer",
            cure="write beir or trec, which hold any judgements, or untie them (`--untie`)",
        )
    seen = {(line.group, line.language) for line in out}
    for row, passage in enumerate(passages):
        if row in used or same[row] != row:
            continue
        # In a group with a question it would answer it: a passage that nobody asks for stands apart.
        pool = passage["group"] if passage["group"] not in groups else f"{passage['group']}~pool"
        if (pool, passage["language"]) in seen:
            pool = _free(f"{pool}~{row}", taken)
        seen.add((pool, passage["language"]))
        out.append(Line(pool, passage["language"], None, passage["text"]))
    return out, {why: number for why, number in lost.items() if number}


def _fits(asking: Sequence[str], answering: Sequence[Sequence[int]], language: Sequence[str]) -> bool:
    """Tell whether questions in ``asking`` languages, answered by these passages, are one group of rows."""
    spoken = [language[passage] for passage in answering[0]]
    return (
        len(set(asking)) == len(asking)
        and len(set(spoken)) == len(spoken)
        and all(found == answering[0] for found in answering)
    )


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    taken.add(name)
    return name


def _refuse_blank(texts: Sequence[dict[str, str]], side: str) -> None:
    for text in texts:
        if not text["text"].strip():
            raise PanglotError(f"the {side} {text['id']!r} has no text", field=side, cure="leave it out")
