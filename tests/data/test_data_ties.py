from hypothesis import given
from hypothesis import strategies as st

from panglot.data.keys import DisjointSets


@given(st.lists(st.lists(st.integers(0, 12), max_size=4), max_size=12))
def test_ties_are_the_connected_sets(joins: list[list[int]]) -> None:
    ties = DisjointSets[int]()
    order = list(dict.fromkeys(number for members in joins for number in members))
    for members in joins:
        ties.join(members)
    sets: list[set[int]] = [{number} for number in order]
    for members in joins:
        touching = [s for s in sets if s & set(members)]
        sets = [s for s in sets if not s & set(members)] + ([set[int]().union(*touching)] if touching else [])
    for members in sets:
        assert {ties.first(number) for number in members} == {min(members, key=order.index)}
