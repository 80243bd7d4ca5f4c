"""A model of a store: every document in a dictionary, scores added exactly, one by one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from panglot.encoders.protocol import Vectors
from panglot.search.document import OWN_FIELDS, Condition, Document, Filter, Group, ScoredDocument
from panglot.search.storage.embedded import EmbeddedStore
from panglot.search.storage.store import Store

VECTOR_FIELDS = ("plain", "centered")
DIMENSION = 8
WIDE = 384  # Numbers of the vectors that `clusters` makes.
ODD_IDS = ('a"b', "a'b\\", "\\n", "a\nb", '" or true or "', "é日本𝄞", "%_{x}", "x\x00y", "#" * 300)
IDS = (*(f"d{number}" for number in range(16)), *ODD_IDS)
GROUPS = ("", "g1", "g'2", 'g"3\\', "g\n4\x00\x7f", "日本𝄞\u2028", '" or true or "')
TEXTS = ("ß", "", "a", "b", 'a"b', "a\\", "a\nb\r\t", '" or true or "', "é日本𝄞", "\x00\x1f", "2024-01-05", "%_")
LANGUAGES = ("de", "en", "ja", "zh-Hant", "", '" or code != "')


class Model:
    """A store in memory, by brute force."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.kept: dict[str, dict[str, Vectors]] = {vector_field: {} for vector_field in VECTOR_FIELDS}

    def upsert(self, documents: Sequence[Document], vectors: dict[str, Vectors]) -> None:
        for at, document in enumerate(documents):
            self.documents[document.id] = document
            for vector_field in VECTOR_FIELDS:
                self.kept[vector_field][document.id] = vectors[vector_field][at].astype(np.float16).astype(np.float32)

    def delete(self, ids: Collection[str]) -> int:
        return sum(self.documents.pop(each, None) is not None for each in set(ids))

    def search(
        self, vector_field: str, query: Vectors, k: int, languages: Collection[str] | None, where: Filter | None = None
    ) -> list[ScoredDocument]:
        found = [
            ScoredDocument(
                document.id, score(self.kept[vector_field][document.id], query), document.language, document.group
            )
            for document in self.documents.values()
            if (languages is None or document.language in languages) and (where is None or holds(where, document))
        ]
        return sorted(found, key=lambda hit: (-hit.score, hit.id))[:k]

    def counts(self) -> list[tuple[str, int]]:
        languages = [document.language for document in self.documents.values()]
        return sorted({(each, languages.count(each)) for each in languages}, key=lambda item: (-item[1], item[0]))


def score(vector: Vectors, query: Vectors) -> float:
    return math.fsum(float(a) * float(b) for a, b in zip(vector, query, strict=True))


def holds(where: Filter, document: Document) -> bool:
    """Return whether a document passes a filter, one value after the other."""
    if isinstance(where, Group):
        found = [holds(each, document) for each in where.parts]
        return {"and": all(found), "or": any(found), "not": not found[0]}[where.operator]
    assert isinstance(where, Condition)
    value: Any = {**document.metadata, **{name: getattr(document, name) or None for name in OWN_FIELDS}}.get(
        where.field
    )
    if value is None or where.operator == "exists":
        return value is not None
    compared: dict[str, Any] = {
        "=": eq,
        "contains": eq,
        "<": lt,
        "<=": le,
        ">": gt,
        ">=": ge,
        "in": lambda one, many: one in many,
    }
    return any(compared[where.operator](each, where.value) for each in (value if isinstance(value, list) else [value]))


def grouped(parts: Any) -> Any:
    """Return a strategy of filters that join others."""
    several = st.builds(Group, st.sampled_from(["and", "or"]), st.lists(parts, min_size=2, max_size=3).map(tuple))
    return several | st.builds(Group, st.just("not"), st.tuples(parts))


def unit(vectors: np.ndarray) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


class Dice:
    """Random operations, the same for the same seed; few vectors, so that scores are often equal."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.few = unit(np.random.default_rng(seed).normal(size=(7, DIMENSION)))

    def vectors(self, count: int) -> Vectors:
        return self.few[[self.random.randrange(len(self.few)) for _ in range(count)]]

    def documents(self, most: int) -> tuple[list[Document], dict[str, Vectors]]:
        dice = self.random
        found = [
            Document(
                name,
                dice.choice(["", "Text.", "テキスト 𝄞", 'quo"te\\']) + str(dice.random()),
                dice.choice(["", "A title"]),
                dice.choice(LANGUAGES),
                dice.choice(GROUPS),
                self.metadata(),
            )
            for name in dice.sample(IDS, dice.randint(1, most))
        ]
        return found, {vector_field: self.vectors(len(found)) for vector_field in VECTOR_FIELDS}

    def metadata(self) -> dict[str, Any]:
        """Return fields, some of them missing, whose kinds may widen as documents are added."""
        dice = self.random
        made: dict[str, Any] = {
            "page": dice.choice([3, -1, 0, 1 << 62, (1 << 62) + 1, -(1 << 63)]),
            "ok": dice.random() < 0.5,
            "ü": dice.choice(TEXTS),
            "x": dice.choice([0.1, 2, -0.5, 1e300, 1e-7]),
            "tags": dice.choice([[], ["a", "b"], [dice.choice(TEXTS)], dice.choice(TEXTS)]),
            "years": dice.choice([[], [2024], [2023, 2025], [2.5]]),
            "none": None,
        }
        return {name: value for name, value in made.items() if dice.random() < 0.6}

    def filter(self, kinds: Mapping[str, str], depth: int = 2) -> Filter:
        """Return conditions on fields of these kinds."""
        dice = self.random
        if depth and dice.random() < 0.6:
            operator: Any = dice.choice(["and", "or", "not"])
            parts = [self.filter(kinds, depth - 1) for _ in range(1 if operator == "not" else dice.randint(2, 3))]
            return Group(operator, tuple(parts))
        name = dice.choice([*kinds, *OWN_FIELDS])
        kind = {**kinds, **OWN_FIELDS}[name]
        single = kind.removeprefix("list of ")
        ordered = [] if single == "bool" or kind != single else ["<", "<=", ">", ">="]
        chosen: Any = dice.choice(["=", "in", "exists", *ordered, *(["contains"] if kind != single else [])])
        if chosen == "exists":
            return Condition(name, chosen)
        values: list[Any] = {
            "bool": [True, False],
            "text": [*TEXTS, *LANGUAGES, "g1", "A title", "d3"],
        }.get(single, [3, -1, 0, 2.5, -0.5, 0.1, 2024, 1 << 62, (1 << 62) + 1, 1e300, 1e-7])
        if single == "int":
            values.remove(1e300)
        if chosen == "in":
            return Condition(name, chosen, tuple(dice.choices(values, k=dice.randint(0, 3))))
        return Condition(name, chosen, dice.choice(values))

    def ids(self, most: int) -> list[str]:
        return self.random.choices([*IDS, "nobody"], k=self.random.randint(0, most))

    def languages(self) -> list[str] | None:
        dice = self.random
        return dice.choice([None, [], ["fr"], dice.sample(LANGUAGES, 1), dice.sample(LANGUAGES, 2)])


def agree(store: Store, model: Model, dice: Dice, searches: int = 4) -> None:
    """Compare all answers of a store with the model."""
    assert list(store.counts().items()) == model.counts()
    listed = [each for piece in store.ids() for each in piece]
    assert sorted(listed) == sorted(model.documents)
    asked = [*dice.ids(6), *model.documents]
    assert store.get(asked) == [model.documents.get(each) for each in asked]
    groups = dice.random.sample(GROUPS[1:], dice.random.randint(0, len(GROUPS) - 1))
    wanted = sorted(each.id for each in model.documents.values() if each.group in groups)
    assert store.in_groups(groups) == [model.documents[each] for each in wanted]
    for vector_field in VECTOR_FIELDS:
        zero = np.zeros(DIMENSION, np.float32)
        rows = [model.kept[vector_field][each] if each in model.documents else zero for each in asked]
        assert np.array_equal(store.vectors(vector_field, asked), np.stack(rows) if rows else np.zeros((0, DIMENSION)))
    for _ in range(searches):
        vector_field, k, languages = (
            dice.random.choice(VECTOR_FIELDS),
            dice.random.choice([1, 2, 5, 40]),
            dice.languages(),
        )
        queries = dice.vectors(dice.random.randint(0, 3))
        where = dice.filter(store.kinds()) if dice.random.random() < 0.7 else None
        found = store.search(vector_field, queries, k, languages=languages, where=where)
        if where is not None:
            asked = dice.ids(6)
            assert store.matching(asked, where) == {
                each for each in asked if each in model.documents and holds(where, model.documents[each])
            }
        assert len(found) == len(queries)
        for query, hits in zip(queries, found, strict=True):
            wanted = model.search(vector_field, query, k, languages, where)
            assert [(hit.id, hit.language, hit.group) for hit in hits] == [(h.id, h.language, h.group) for h in wanted]
            assert np.allclose([hit.score for hit in hits], [hit.score for hit in wanted], rtol=0, atol=1e-7)


def play(opened: Callable[[], Store], seed: int, steps: int, most: int = 6) -> Model:
    """Let a store and the model do the same random operations, and compare them after each."""
    dice, model, store = Dice(seed), Model(), opened()
    for _ in range(steps):
        match dice.random.choice(["upsert", "upsert", "upsert", "delete", "reopen"]):
            case "upsert":
                documents, vectors = dice.documents(most)
                store.upsert(documents, vectors)
                model.upsert(documents, vectors)
            case "delete":
                ids = dice.ids(most)
                assert store.delete(ids) == model.delete(ids)
            case _:
                store.close()
                store = opened()
        agree(store, model, dice)
    store.close()
    return model


def files(folder: Path) -> list[Path]:
    """Return the files of a store in a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def clusters(count: int, seed: int = 0) -> Vectors:
    """Vectors as encoders make them: many small clusters, all to one side."""
    dice = np.random.default_rng(seed)
    centres = dice.normal(size=(count // 20, WIDE))
    return unit(
        centres[dice.integers(0, len(centres), count)] + dice.normal(size=(count, WIDE)) + 1.5 * dice.normal(size=WIDE)
    )


def filled(folder: Path, vectors: Vectors, languages: tuple[str, ...] = ("de", "en", "ja")) -> EmbeddedStore:
    """Return a store of these vectors, written in bulk."""
    store = EmbeddedStore.create(folder, vector_fields=("plain",), dimension=vectors.shape[1])
    documents = [
        Document(f"{row:05}", f"text {row}", language=languages[row % len(languages)]) for row in range(len(vectors))
    ]
    with store.bulk():
        for begin in range(0, len(vectors), 1000):
            store.upsert(documents[begin : begin + 1000], {"plain": vectors[begin : begin + 1000]})
    return store
