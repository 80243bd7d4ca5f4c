"""Filters on metadata as texts and JSON: what they mean, and which errors show the place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_store_model import grouped

from panglot._errors import PanglotError
from panglot.search.document import Condition, Filter, Group
from panglot.search.filter_syntax import parse_filter


@pytest.mark.parametrize(
    ("text", "as_json", "meaning"),
    [
        ("year>=2024", {"year": {"$gte": 2024}}, "year >= 2024"),
        ("a = 1 AND b == 2 and c <> 'x'", {"a": 1, "b": {"$eq": 2}, "c": {"$ne": "x"}},
         'a = 1 and b = 2 and not c = "x"'),
        ("a = 1 or b = 2 and c = 3", {"$or": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}, "a = 1 or (b = 2 and c = 3)"),
        ("NOT (a = 1 or b = true)", {"$nor": [{"a": 1}, {"b": True}]}, "not (a = 1 or b = true)"),
        ("not a < -1.5", {"$not": {"a": {"$lt": -1.5}}}, "not a < -1.5"),
        ("not a < .5e3", {"a": {"$not": {"$lt": 500.0}}}, "not a < 500.0"),
        ("a in ('x', \"it's\")", {"a": {"$in": ["x", "it's"]}}, 'a in ["x", "it\'s"]'),
        ("a not in []", {"a": {"$nin": []}}, "not a in []"),
        ("tags contains 'a'", {"tags": {"$contains": "a"}}, 'tags contains "a"'),
        ("tags not contains 'a'", {"tags": {"$not_contains": "a"}}, 'not tags contains "a"'),
        ("a is not null", {"a": {"$exists": True}}, "a is not null"),
        ("a IS NULL", {"a": None}, "not a is not null"),
        ("a <= 2 and a > 1", {"a": {"$lte": 2, "$gt": 1}}, "a <= 2 and a > 1"),
        ("doc-type.वर्ष:a = 'é'", {"doc-type.वर्ष:a": "é"}, 'doc-type.वर्ष:a = "é"'),
        ("`two words` = \"say \"\"x\"\"\"", {"two words": 'say "x"'}, '`two words` = "say ""x"""'),
        ("`in` = 1 and `2024` = 2", {"in": 1, "2024": 2}, "`in` = 1 and `2024` = 2"),
    ],
)  # fmt: skip
def test_text_and_json_mean_the_same(text: str, as_json: dict[str, Any], meaning: str) -> None:
    assert str(parse_filter(text)) == str(parse_filter(as_json)) == str(parse_filter(json.dumps(as_json))) == meaning


def test_nothing_is_no_filter() -> None:
    assert [parse_filter(empty) for empty in ("", " ", None, {}, "{}")] == [None] * 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("year >=", r"expected a value at character 8, got the end. Fix: correct it there:\n  year >=\n         \^"),
        ("year >= or a = 1", r"expected a value at character 9, got `or`"),
        ("日本 = 'x' y", r"expected `and`, `or` or the end at character 10, got `y`.*\n {13}\^"),
        ("product = calc", r"expected a value .* got `calc`. Fix: write texts and dates in quotes"),
        ("day > 2024-01-05", r"got `2024-01-05`. Fix: write texts and dates in quotes"),
        ("a = null", r"use `is null`"),
        ("a = 'x", r"got `'`. Fix: close the quotation mark"),
        ("(a = 1", r"expected `\)` at character 7, got the end"),
        ("a in [1 2]", r"expected `,` at character 9, got `2`"),
        ("a ! 1", r"expected `=`, `!=`.* got `!`"),
        ("a not = 1", r"expected `in` or `contains` at character 7, got `=`"),
        ("and", r"expected the name of a field at character 1, got `and`"),
        ("a = 99999999999999999999", r"expected a number of at most 64 bits"),
        ("a = 1e999", r"expected a number of at most 64 bits"),
        ("not " * 60 + "a = 1", r"nested more than 50 times"),
        ("(" * 10_000, r"nested more than 50 times"),
        (" or ".join(["a = 1"] * 1001), r"at most 1,000 conditions, got 1,002"),
        ({"a": {"$in": [1] * 1001}}, r"at most 1,000 values, got 1,001"),
        ('{"a": ', r"not JSON"),
        ({"a": {"$gtt": 1}}, r"`\$gtt` of `a` is not an operator. Fix: write \$gt, or another of \$eq"),
        ({"$xor": [{"a": 1}]}, r"`\$xor` does not join conditions"),
        ({"$and": {"a": 1}}, r"`\$and` must have a list of objects, got \{'a': 1\}"),
        ({"$or": [1]}, r"expected an object with a condition, got 1"),
        ({"a": [1]}, r"`\$eq` of `a` must have a text, a number or a truth value, got \[1\]. Fix: use `\$in`"),
        ({"a": {"$in": 1}}, r"`\$in` of `a` must have a list, got 1"),
        ({"a": {"$exists": 1}}, r"must be true or false, got 1"),
        ({"a": {}}, r"`a` has no operator"),
        ({"a": {"$gt": None}}, r"got null"),
        ({"a": "\ud800"}, r"half of a surrogate pair"),
        ({"a": {"$in": ["\ud800"]}}, r"half of a surrogate pair"),
        ("a = '\ud800'", r"half of a surrogate pair"),
        (["a"], r"a filter must be a text or an object, got list"),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place(wrong: object, message: str) -> None:
    with pytest.raises(PanglotError, match=f"(?s){message}") as caught:
        parse_filter(wrong)
    assert caught.value.field == "where"
    assert caught.value.hint


SCALARS: Any = (
    st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
NAMES = st.sampled_from(["a", "b", "c", "or", "two words", "1", "-5", "a`b", "x=y", "é日本"])
CONDITIONS = st.one_of(
    st.builds(Condition, NAMES, st.sampled_from(["=", "<", "<=", ">", ">=", "contains"]), SCALARS),
    st.builds(Condition, NAMES, st.just("in"), st.lists(SCALARS, max_size=3).map(tuple)),
    st.builds(Condition, NAMES, st.just("exists")),
)


FILTERS: Any = st.recursive(CONDITIONS, grouped, max_leaves=6)


def as_json(where: Filter) -> dict[str, Any]:
    if isinstance(where, Group):
        parts = [as_json(each) for each in where.parts]
        return {"$not": parts[0]} if where.operator == "not" else {f"${where.operator}": parts}
    assert isinstance(where, Condition)
    names = {"=": "$eq", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
    value = True if where.operator == "exists" else where.value
    return {where.field: {names.get(where.operator, f"${where.operator}"): value}}


@given(FILTERS)
def test_a_filter_is_read_as_it_was_written(where: Filter) -> None:
    assert parse_filter(str(where)) == where
    assert parse_filter(json.dumps(as_json(where))) == where


@given(st.text(max_size=30) | st.text("abc=<>!()[],'\"` notinrd1.", max_size=30))
def test_any_text_is_a_filter_or_an_error_that_names_its_field(text: str) -> None:
    def read() -> object:
        try:
            return parse_filter(text)
        except PanglotError as error:
            return error.field

    found = read()
    assert found is None or found == "where" or isinstance(found, Filter)
