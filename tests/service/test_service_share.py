"""Which waiting texts are encoded next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panglot.service.batcher import share

WAITING = st.lists(st.lists(st.integers(1, 40), max_size=6), max_size=8)


@given(WAITING, st.integers(1, 100))
def test_a_batch_keeps_to_its_budget_but_for_one_text_alone(waiting: list[list[int]], budget: int) -> None:
    taken = share(waiting, budget)
    used = sum(sum(sizes[:count]) for sizes, count in zip(waiting, taken, strict=True))
    assert used <= budget or sum(taken) == 1


@given(WAITING, st.integers(1, 100))
def test_the_oldest_request_always_moves(waiting: list[list[int]], budget: int) -> None:
    taken = share(waiting, budget)
    oldest = next((place for place, sizes in enumerate(waiting) if sizes), None)
    assert oldest is None or taken[oldest] > 0


@given(WAITING, st.integers(1, 100))
def test_no_request_is_two_texts_ahead_of_an_older_one_that_has_more(waiting: list[list[int]], budget: int) -> None:
    taken = share(waiting, budget)
    for older, (sizes, count) in enumerate(zip(waiting, taken, strict=True)):
        if count < len(sizes):
            assert all(other <= count for other in taken[older + 1 :])


@given(WAITING, st.integers(1, 100))
def test_everything_is_encoded_in_the_end(waiting: list[list[int]], budget: int) -> None:
    left = [list(sizes) for sizes in waiting]
    for _ in range(sum(map(len, waiting)) + 1):
        left = [sizes[count:] for sizes, count in zip(left, share(left, budget), strict=True)]
    assert not any(left)
