"""The laws of a plan, on drawn sources."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panglot._errors import PanglotError
from panglot.batching import Batch, Plan, Policy, TrainingTable, describe

ALL = ("english", "mono", "mixed-mono", "cross", "cross-pair", "hybrid", "hybrid-row", "whole-group")
CODES = ("ar", "de", "en", "en-GB", "fi", "zh")


def made(name: str, rows: int, languages: int, *, gaps: float, blocks: int, seed: int) -> TrainingTable:
    """Return a source with versions missing at random and with blocks of random sizes."""
    random = np.random.default_rng(seed)

    def versions() -> np.ndarray[Any, Any]:
        numbers = np.arange(rows * languages).reshape(rows, languages)
        return np.where(random.random(numbers.shape) < gaps, -1, numbers)

    codes = tuple(sorted(random.choice(CODES, languages, replace=False).tolist()))
    return TrainingTable(name, codes, versions(), versions() * 3, random.integers(0, blocks, rows))


@st.composite
def sources(draw: st.DrawFn) -> list[TrainingTable]:
    count = draw(st.integers(1, 3))
    return [
        made(
            f"set {i}",
            draw(st.integers(2, 60)),
            draw(st.integers(1, len(CODES))),
            gaps=draw(st.sampled_from([0.0, 0.2, 0.7])),
            blocks=draw(st.integers(1, 60)),
            seed=draw(st.integers(0, 2**16)),
        )
        for i in range(count)
    ]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    policy = Policy(
        draw(st.sampled_from(ALL)),
        alpha=draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])),
        cross_kind=draw(st.sampled_from(["cross", "pair"])),
        batch_size=draw(st.integers(2, 20)),
        source_temperature=draw(st.sampled_from([1.0, 3.0, math.inf])),
        language_temperature=draw(st.sampled_from([1.0, 2.0, math.inf])),
        language_sampling=draw(st.sampled_from(["temperature", "round-robin"])),
        seed=draw(st.integers(0, 2**32)),
    )
    held = draw(sources())
    try:
        return Plan(held, policy)
    except PanglotError as error:
        if error.field != "batches":
            raise
        return Plan([made("whole", 9, 6, gaps=0, blocks=9, seed=1)], policy)


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, f), getattr(other, f)) for f in Batch.__dataclass_fields__)


@given(plans(), st.integers(0, 300))
@settings(max_examples=200)
def test_batches_are_what_their_kind_promises(plan: Plan, k: int) -> None:
    batch = plan(k)
    source = plan.sources[batch.source]
    x, y = batch.question_languages, batch.passage_languages
    assert len(batch.questions) == len(batch.rows) == len(x) > 0
    assert len(batch.passages) == len(y)
    assert (batch.questions == source.question[batch.rows, x]).all()
    assert (batch.questions >= 0).all()
    assert (batch.passages >= 0).all()
    if batch.kind == "whole-group":
        assert batch.positive is not None
        for i, row in enumerate(batch.rows):
            own = set(batch.passages[batch.positive[i]].tolist())
            assert own == set(source.passage[row][source.passage[row] >= 0].tolist())
        for row in set(batch.rows.tolist()):
            asked = batch.questions[batch.rows == row].tolist()
            assert asked == source.question[row][source.question[row] >= 0].tolist()
        rows = np.unique(batch.rows)
    else:
        assert batch.positive is None
        assert (batch.passages == source.passage[batch.rows, y]).all()
        rows = batch.rows
    assert len(set(source.conflict_group[rows].tolist())) == len(rows), "a conflict group met itself"
    if batch.kind in {"mono", "english"}:
        assert len({*x.tolist(), *y.tolist()}) == 1
    if batch.kind == "english":
        assert source.languages[x[0]] in {"en", "en-GB"}
    if batch.kind == "mixed-mono":
        assert (x == y).all()
    if batch.kind in {"cross", "cross-pair"}:
        assert (x != y).all()
    if batch.kind == "cross-pair":
        assert len(set(zip(x.tolist(), y.tolist(), strict=True))) == 1


@given(plans(), st.lists(st.integers(0, 9000), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_a_step_does_not_depend_on_what_was_asked_before(plan: Plan, steps: list[int], random: Any) -> None:
    expected = {k: plan(k) for k in steps}
    random.shuffle(steps)
    fresh = Plan(plan.sources, plan.policy)
    assert all(equal(fresh(k), expected[k]) for k in steps)
    alone = Plan(plan.sources, plan.policy)
    assert equal(alone(max(steps)), expected[max(steps)])


@given(plans(), st.randoms(use_true_random=False), st.lists(st.integers(0, 500), min_size=1, max_size=5))
@settings(max_examples=60)
def test_the_order_of_the_sources_does_not_matter(plan: Plan, random: Any, steps: list[int]) -> None:
    shuffled = list(plan.sources)
    random.shuffle(shuffled)
    other = Plan(shuffled, plan.policy)
    for k in steps:
        one, two = plan(k), other(k)
        assert plan.sources[one.source] is other.sources[two.source]
        assert np.array_equal(one.questions, two.questions)
        assert np.array_equal(one.passages, two.passages)


@given(plans(), st.integers(0, 50), st.integers(1, 8))
@settings(max_examples=100)
def test_the_shards_of_all_ranks_are_the_batch(plan: Plan, k: int, world: int) -> None:
    batch = plan(k)
    parts = [batch.shard(rank, world) for rank in range(world)]
    for field in ("rows", "questions", "passages", "question_languages", "passage_languages"):
        assert np.array_equal(np.concatenate([getattr(part, field) for part in parts]), getattr(batch, field))
    if batch.positive is None:
        sizes = [len(part.rows) for part in parts]
        assert all(len(part.passages) == len(part.rows) for part in parts)
    else:
        sizes = [len(np.unique(part.rows)) for part in parts]
        blocks = np.zeros_like(batch.positive)
        at = [0, 0]
        for part in parts:
            assert part.positive is not None
            height, width = part.positive.shape
            blocks[at[0] : at[0] + height, at[1] : at[1] + width] = part.positive
            at = [at[0] + height, at[1] + width]
        assert np.array_equal(blocks, batch.positive), "a group was cut"
    assert max(sizes) - min(sizes) <= 1


@given(plans())
@settings(max_examples=60)
def test_every_row_comes_once_an_epoch_of_its_stream(plan: Plan) -> None:
    """Epochs of each stream that the first steps reach: every row that can serve, once each, or in a later epoch."""
    seen: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    sizes: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    turns: Counter[int] = Counter()
    for k in range(150):
        index, turn = plan.draw(k)
        assert turn == turns[index], "a batch of a stream was left out"
        turns[index] += 1
        rows = np.unique(plan(k).rows).tolist()
        epoch = turn // plan.batches_per_epoch(index)
        seen[index, epoch] += rows
        sizes[index, epoch].append(len(rows))
    for (index, epoch), rows in seen.items():
        stream = plan.streams[index]
        assert len(set(rows)) == len(rows)
        if turns[index] >= (epoch + 1) * plan.batches_per_epoch(index):
            source, batches = plan.sources[stream.source], plan.batches_per_epoch(index)
            groups = Counter(source.conflict_group[stream.rows(source)].tolist())
            met = Counter(source.conflict_group[rows].tolist())
            assert met == {group: min(number, batches) for group, number in groups.items()}
            assert set(rows) <= set(stream.rows(source).tolist())
            assert max(sizes[index, epoch]) - min(sizes[index, epoch]) <= 1
            if stream.kind != "whole-group":
                assert max(sizes[index, epoch]) <= plan.policy.batch_size


def test_a_large_conflict_group_is_carried_over_and_batches_stay_full() -> None:
    numbers = np.arange(1000).reshape(-1, 1)
    group = np.where(np.arange(1000) < 90, 0, np.arange(1000))  # 90 rows of one group, 16 batches of 64
    plan = Plan([TrainingTable("a", ("en",), numbers, numbers, group)], Policy("mono", batch_size=64))
    batches = plan.batches_per_epoch(0)
    sizes = [len(plan(k).rows) for k in range(6 * batches)]
    assert min(sizes) >= 60
    times = Counter(row for k in range(7 * batches) for row in plan(k).rows.tolist())
    assert {times[row] for row in range(90, 1000)} == {7}
    # 90 rows, 15 in an epoch: after six epochs each came once, and in the seventh the first come again.
    assert sorted({times[row] for row in range(90)}) == [1, 2]
    assert plan.warnings == {}
    assert plan.carried_over == ("a",)


def test_batches_that_are_not_nearly_full_are_warned_of() -> None:
    numbers = np.arange(100).reshape(-1, 1)
    small = TrainingTable("small", ("en",), numbers[:40], numbers[:40], np.arange(40))
    tied = TrainingTable("tied", ("en",), numbers, numbers, np.where(np.arange(100) < 90, 0, np.arange(100)))
    plan = Plan([small, tied], Policy("mono", batch_size=64))
    waiting = ": 89 rows that share a passage, a text or a group wait for a later epoch"
    assert plan.warnings == {
        "small": "small: its batches have 40 questions on average, and not 64",
        "tied": f"tied: its batches have 11 questions on average, and not 64{waiting}",
    }
    assert Plan([small], Policy("mono", batch_size=40)).warnings == {}


def test_a_stream_goes_on_where_it_was_thousands_of_steps_before() -> None:
    plan = Plan([made("a", 30, 3, gaps=0, blocks=30, seed=1)], Policy("cross-pair"))
    turns: Counter[int] = Counter()
    for k in range(9000):
        index, turn = plan.draw(k)
        assert turn == turns[index]
        turns[index] += 1


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("batches", ["hybrid", "hybrid-row"])
def test_alpha_is_the_share_of_one_language(batches: Any, alpha: float) -> None:
    plan = Plan([made("a", 500, 4, gaps=0, blocks=10**6, seed=2)], Policy(batches, alpha=alpha, seed=7))
    batches_ = [plan(k) for k in range(2000)]
    if batches == "hybrid":
        draws = np.array([batch.kind == "mono" for batch in batches_])
    else:
        draws = np.concatenate([b.question_languages == b.passage_languages for b in batches_])
    # Five standard deviations: a right plan fails once in a million seeds.
    assert abs(draws.mean() - alpha) < 5 * math.sqrt(alpha * (1 - alpha) / len(draws))


@pytest.mark.parametrize(("languages", "alpha"), [(6, 0.5), (6, 1 / 6), (3, 1 / 3), (3, 0.5), (6, 0.0)])
def test_language_is_a_clue_in_a_batch_of_hybrid_row_unless_alpha_is_one_over_languages(
    languages: int, alpha: float
) -> None:
    """The answer shares the question's language in a share α of the rows, a negative in one of L."""
    source = made("set", 400, languages, gaps=0, blocks=10**6, seed=1)
    plan = Plan([source], Policy("hybrid-row", alpha=alpha, batch_size=40, language_temperature=math.inf))
    answers, negatives = [], []
    for k in range(60):
        batch = plan(k)
        same = batch.question_languages[:, None] == batch.passage_languages[None, :]
        answers.append(np.diag(same).mean())
        negatives.append(same[~np.eye(len(same), dtype=bool)].mean())
    assert np.mean(answers) == pytest.approx(alpha, abs=0.03)
    assert np.mean(negatives) == pytest.approx(1 / languages, abs=0.03)


def test_pairs_of_a_cross_row_are_all_drawn_alike() -> None:
    plan = Plan([made("a", 300, 4, gaps=0, blocks=10**6, seed=2)], Policy("cross", batch_size=30))
    counts = describe(plan, 400).languages
    assert len(counts) == 12
    expected = 12000 / 12
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 36, "chi², 11 degrees, p < .0002"


def test_temperature_moves_from_proportional_to_uniform() -> None:
    big, small = (made(n, r, 2, gaps=0, blocks=10**6, seed=3) for n, r in (("big", 900), ("small", 100)))
    for temperature, share in ((1.0, 0.1), (2.0, 0.25), (math.inf, 0.5)):
        plan = Plan([big, small], Policy("cross", source_temperature=temperature))
        drawn = np.mean([plan.streams[plan.draw(k)[0]].source for k in range(20000)])
        assert abs(drawn - share) < 5 * math.sqrt(share * (1 - share) / 20000)


def test_languages_are_drawn_by_their_size() -> None:
    question = np.arange(2000).reshape(1000, 2)
    question[90:, 1] = -1
    source = TrainingTable("a", ("de", "fi"), question, question, np.arange(1000))
    for temperature, share in ((1.0, 90 / 1090), (2.0, 0.230769), (math.inf, 0.5)):
        plan = Plan([source], Policy("mono", language_temperature=temperature))
        drawn = np.mean([plan.streams[plan.draw(k)[0]].question for k in range(20000)])
        assert abs(drawn - share) < 5 * math.sqrt(share * (1 - share) / 20000)


def test_parallel_sources_epochs_streams_and_seeds_are_dealt_differently() -> None:
    rows = made("a", 64, 2, gaps=0, blocks=10**6, seed=4)
    twin = TrainingTable("b", rows.languages, rows.question, rows.passage, rows.conflict_group)
    plan = Plan([rows, twin], Policy("mono", batch_size=64, seed=5))
    other = Plan([rows, twin], Policy("mono", batch_size=64, seed=6))
    orders = {tuple(p(k).rows.tolist()) for p in (plan, other) for k in range(100)}
    assert len(orders) == 200, "two streams or epochs shared a permutation"


def test_the_plan_of_a_seed_never_changes() -> None:
    """Resumed runs and published figures depend on these draws: changing them changes the format."""
    numbers = np.arange(90).reshape(30, 3)
    source = TrainingTable("a", ("de", "en", "fi"), numbers, numbers + 100, np.arange(30) // 2)
    plan = Plan([source], Policy("hybrid", batch_size=4, seed=11))
    frozen = {k: (plan(k).kind, plan(k).rows.tolist(), plan(k).passages.tolist()) for k in (0, 5000)}
    assert frozen == {
        0: ("mono", [6, 2, 28, 15], [120, 108, 186, 147]),
        5000: ("mono", [27, 1, 18, 13], [182, 104, 155, 140]),
    }


@pytest.mark.parametrize("batches", ALL)
def test_a_kind_is_drawn_only_where_it_is_possible(batches: Any) -> None:
    """Two monolingual sets, one without English, beside a parallel one."""
    parallel = made("parallel", 40, 6, gaps=0, blocks=40, seed=1)
    rows = np.arange(40)[:, None]
    finnish, english = (TrainingTable(c, (c,), rows, rows, np.arange(40)) for c in ("fi", "en"))
    plan = Plan([finnish, english, parallel], Policy(batches))
    served: defaultdict[str, set[str]] = defaultdict(set)
    for k in range(300):
        batch = plan(k)
        served[batch.kind].add(plan.sources[batch.source].name)
    all_sets = {"fi", "en", "parallel"}
    allowed = {
        "english": {"en", "parallel"},
        "mono": all_sets,
        "mixed-mono": all_sets,
        "hybrid-row": all_sets,
        "cross": {"parallel"},
        "cross-pair": {"parallel"},
        "whole-group": {"parallel"},
    }
    for kind, names in served.items():
        assert names == allowed[kind]


@pytest.mark.parametrize(
    ("batches", "what"),
    [("cross", "cross"), ("hybrid", "cross"), ("whole-group", "whole-group"), ("english", "english")],
)
def test_impossible_policies_are_refused_before_training(batches: Any, what: str) -> None:
    rows = np.arange(9)[:, None]
    with pytest.raises(PanglotError, match=f"no two rows of mono can be used for {what} batches.*Fix: add a set"):
        Plan([TrainingTable("mono", ("fi",), rows, rows, np.arange(9))], Policy(batches))


def test_alpha_one_needs_no_parallel_rows() -> None:
    rows = np.arange(9)[:, None]
    plan = Plan([TrainingTable("mono", ("fi",), rows, rows, np.arange(9))], Policy("hybrid", alpha=1))
    assert plan(3).kind == "mono"


def test_a_row_with_one_possibility_takes_it() -> None:
    """In `hybrid-row`, rows without a pair stay in one language and rows without a common one cross."""
    question, passage = np.array([[0, -1], [1, -1]] * 8), np.array([[0, -1], [-1, 1]] * 8)
    plan = Plan(
        [TrainingTable("a", ("de", "fi"), question, passage, np.arange(16))], Policy("hybrid-row", batch_size=16)
    )
    for k in range(20):
        batch = plan(k)
        assert (batch.passage_languages == batch.rows % 2).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batches", "mixed"),
        ("cross_kind", "both"),
        ("alpha", 1.2),
        ("alpha", math.nan),
        ("batch_size", 1),
        ("source_temperature", 0.0),
        ("language_temperature", math.nan),
    ],
)
def test_settings_out_of_range_are_named(field: str, value: Any) -> None:
    with pytest.raises(PanglotError) as caught:
        Policy(**{field: value})
    assert caught.value.field == field
    assert caught.value.hint


def test_sources_must_be_there_and_have_their_own_names() -> None:
    rows = made("a", 9, 2, gaps=0, blocks=9, seed=1)
    with pytest.raises(PanglotError, match="at least one training set"):
        Plan([], Policy())
    with pytest.raises(PanglotError, match="two training sets are called 'a'"):
        Plan([rows, rows], Policy())
    with pytest.raises(ValueError, match="no step -1"):
        Plan([rows], Policy())(-1)


def test_a_whole_group_batch_is_of_the_size_asked_for_and_has_negatives() -> None:
    source = made("a", 120, 5, gaps=0, blocks=120, seed=1)
    sizes = [len(Plan([source], Policy("whole-group", batch_size=40))(k).questions) for k in range(10)]
    assert np.mean(sizes) == 40
    assert len(set(Plan([source], Policy("whole-group", batch_size=4))(0).rows.tolist())) == 2


def test_description_counts_what_the_plan_does() -> None:
    source = made("a", 120, 3, gaps=0, blocks=10**6, seed=1)
    told = describe(Plan([source], Policy("mono", batch_size=12)), 90)
    assert (told.steps, told.questions, told.kinds, told.sources) == (90, 1080, {"mono": 90}, {"a": 1080})
    assert sum(told.languages.values()) == 1080
    assert all(x == y for x, y in told.languages)
    assert told.epochs == {"a": 9.0}
    assert told.batch_size == (12, 12)


@given(sources(), st.integers(0, 2**32), st.sampled_from(["mono", "hybrid", "cross-pair"]))
@settings(max_examples=15)
def test_round_robin_meets_every_language_before_any_comes_again(
    held: list[TrainingTable], seed: int, batches: Any
) -> None:
    policy = Policy(batches, batch_size=4, language_sampling="round-robin", seed=seed)
    try:
        plan = Plan(held, policy)
    except PanglotError:
        return
    kind = "mono" if batches == "hybrid" else batches
    pairs = {
        tuple(plan.sources[s.source].languages[i] for i in (s.question, s.passage))
        for s in plan.streams
        if s.kind == kind
    }
    met: list[tuple[str, ...]] = []
    for k in range(5000):  # beyond one block of draws
        stream = plan.streams[plan.draw(k)[0]]
        if stream.kind == kind:
            met.append(tuple(plan.sources[stream.source].languages[i] for i in (stream.question, stream.passage)))
    for start in range(0, len(met) - len(pairs) + 1, len(pairs)):
        assert set(met[start : start + len(pairs)]) == pairs
    orders = {tuple(met[start : start + len(pairs)]) for start in range(0, len(met) - len(pairs) + 1, len(pairs))}
    assert len(orders) > 1 or len(pairs) == 1


def test_round_robin_deals_all_languages_in_a_new_order_each_time() -> None:
    plan = Plan([made("a", 30, 4, gaps=0, blocks=30, seed=3)], Policy("mono", language_sampling="round-robin"))
    dealt = [plan.streams[plan.draw(k)[0]].question for k in range(40)]
    cycles = {tuple(dealt[start : start + 4]) for start in range(0, 40, 4)}
    assert {frozenset(cycle) for cycle in cycles} == {frozenset(range(4))}
    assert len(cycles) > 1


def test_round_robin_draws_the_source_of_a_language_by_its_share() -> None:
    small, large = (made(name, rows, 2, gaps=0, blocks=rows, seed=3) for name, rows in (("a", 20), ("b", 60)))
    plan = Plan([small, large], Policy("mono", batch_size=4, language_sampling="round-robin"))
    drawn = Counter(plan.sources[plan.streams[plan.draw(k)[0]].source].name for k in range(4000))
    assert abs(drawn["b"] / 4000 - 0.75) < 0.03
