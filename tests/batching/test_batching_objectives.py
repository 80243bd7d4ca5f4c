"""The laws of a mixture: its objectives, and the batches that they get in step k."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.batching import Policy, TrainingTable
from panglot.batching.objectives import Mixture, parse_objectives

CODES = ("ar", "de", "en", "fi")


def made(rows: int = 24, *, mono: bool = True, gaps: float = 0.0, name: str = "set") -> TrainingTable:
    random = np.random.default_rng(0)
    numbers = np.arange(rows * len(CODES)).reshape(rows, len(CODES))
    asked, answered = (np.where(random.random(numbers.shape) < gaps, -1, numbers) for _ in range(2))
    return TrainingTable(name, CODES, asked, answered, np.arange(rows), mono)


def names(wishes: list[str], *sources: TrainingTable) -> list[str]:
    return [objective.name for objective in parse_objectives(wishes, sources or [made()], 2.0)]


def test_families_are_one_objective_a_member() -> None:
    assert names(["language"]) == list(CODES)
    assert names(["pair"]) == [f"{x}-{y}" for x in CODES for y in CODES]
    assert names(["hybrid-row", "language", "distill"]) == ["hybrid-row", *CODES, "distill"]
    # In a set of translations, no passage in the question's own language is relevant.
    assert names(["pair"], made(mono=False)) == [f"{x}-{y}" for x in CODES for y in CODES if x != y]


def test_weights_of_a_family_sum_to_its_own() -> None:
    found = parse_objectives(["mono:3", "language:2"], [made(gaps=0.5)], 2.0)
    assert found[0].weight == 3
    assert sum(objective.weight for objective in found[1:]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        (["mono", "monolingual"], "unknown objective 'monolingual'"),
        (["mono"], "at least two objectives"),
        (["mono", "cross", "mono:2"], "'mono' is named twice"),
        (["mono:0", "cross"], "weight of 'mono:0'"),
        (["mono:x", "cross"], "weight of 'mono:x'"),
    ],
)
def test_wrong_wishes_are_told(wishes: list[str], told: str) -> None:
    with pytest.raises(PanglotError, match=told):
        parse_objectives(wishes, [made()], 2.0)


def test_distillation_needs_english_beside_another_language() -> None:
    alone = TrainingTable("fi", ("fi",), np.arange(4)[:, None], np.arange(4)[:, None], np.arange(4))
    with pytest.raises(PanglotError, match="English"):
        parse_objectives(["mono", "distill"], [alone], 2.0)


def test_language_objectives_draw_their_language_alone() -> None:
    mixture = Mixture([made(), made(name="other", gaps=0.3)], Policy(batch_size=6), ["language", "cross"])
    for k in range(8):
        for index, batch in mixture(k).items():
            name = mixture.objectives[index].name
            codes = [mixture.sources[batch.source].languages[x] for x in batch.question_languages]
            assert batch.step == k
            if name != "cross":
                assert set(codes) == {name}
                assert (batch.question_languages == batch.passage_languages).all()


def test_distillation_pairs_a_text_with_its_own_english() -> None:
    source = made(gaps=0.4)
    mixture = Mixture([source], Policy(batch_size=5), ["mono", "distill"])
    seen = set()
    for k in range(12):
        batch = mixture(k)[1]
        table = source.question if batch.kind == "distill-questions" else source.passage
        seen.add(batch.kind)
        assert (batch.question_languages != CODES.index("en")).all()
        assert batch.questions.tolist() == table[batch.rows, batch.question_languages].tolist()
        assert batch.passages.tolist() == table[batch.rows, CODES.index("en")].tolist()
        assert batch.questions.min() >= 0 <= batch.passages.min()
    assert seen == {"distill-questions", "distill-passages"}


@settings(max_examples=40)
@given(st.integers(2, 19), st.integers(0, 2**32))
def test_every_pair_gets_its_turn_and_every_row_once_an_epoch(per_step: int, seed: int) -> None:
    mixture = Mixture([made(12)], Policy(batch_size=4, seed=seed), ["pair", "cross", "mono", "distill"], per_step)
    count = Counter[int]()
    rows: dict[int, list[int]] = {}
    for k in range(300):
        drawn = list(mixture.draw(k))
        assert len(drawn) == per_step == len({index for index, _ in drawn})
        for index, turn in drawn:
            assert turn == count[index]  # no batch of an objective is skipped
            count[index] += 1
    for k in range(6):
        for index, batch in mixture(k).items():
            if mixture.objectives[index].name not in {"distill", "mono"}:  # those have several streams
                rows.setdefault(index, []).extend(batch.rows.tolist())
    for index, seen in rows.items():
        assert max(Counter(seen).values()) <= -(-len(seen) // 12), mixture.objectives[index].name
    # 300 draws of each share: six standard deviations
    share = per_step / len(mixture.objectives)
    bound = 6 * np.sqrt(300 * share * (1 - share)) + 1
    assert all(abs(count[i] - 300 * share) <= bound for i in range(len(mixture.objectives)))


def test_a_step_does_not_depend_on_the_steps_before_or_the_order_of_sources() -> None:
    sources = [made(name="one"), made(name="two")]
    policy = Policy(batch_size=6, seed=3)
    wishes = ["language", "hybrid-row"]

    def seen(mixture: Mixture, k: int) -> dict[str, Any]:
        return {
            mixture.objectives[i].name: (mixture.sources[b.source].name, b.questions.tolist(), b.passages.tolist())
            for i, b in mixture(k).items()
        }

    straight = Mixture(sources, policy, wishes, 3)
    for k in range(300):
        straight(k)
    assert seen(straight, 280) == seen(Mixture(sources[::-1], policy, wishes, 3), 280)


def test_objectives_of_a_step_draw_their_sources_alone() -> None:
    sources = [made(name=f"set {i}") for i in range(4)]
    mixture = Mixture(sources, Policy(batch_size=6), ["mono", "cross"])
    same = np.mean([len({batch.source for batch in mixture(k).values()}) == 1 for k in range(200)])
    assert 0.05 < same < 0.5  # a quarter, if they are independent


def test_every_source_is_warned_of_once_though_names_have_colons() -> None:
    sources = [made(name="mlqa:dev"), made(name="mlqa:test")]
    mixture = Mixture(sources, Policy("mono", batch_size=64), ["mono", "cross"])
    said = "its batches have 24 questions on average, and not 64"
    assert mixture.warnings == {name: f"{name}: {said}" for name in ("mlqa:dev", "mlqa:test")}


def test_more_objectives_than_there_are_is_an_error() -> None:
    for wrong in (1, 5):
        with pytest.raises(PanglotError, match="objectives"):
            Mixture([made()], Policy(), ["language"], wrong)
