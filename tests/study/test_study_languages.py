from collections import Counter, defaultdict
from itertools import pairwise

import langcodes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langcodes.data_dicts import LIKELY_SUBTAGS

from panglot._errors import PanglotError
from panglot.datasets.catalog import CARDS
from panglot.datasets.translations import distinct
from panglot.study.data import ORDER, split_seen, training_languages

#: In the test sets, and last in the order.
HELD_BACK = ("el", "sw", "te", "th")
SIZES = (1, 2, 4, 8, 16, 32, 64, 0)
SETS = ("mlqa", "xor-questions", "libreoffice-help", "ntrex-128", "sib-200")


def _script(code: str) -> str:
    tag = langcodes.Language.get(code)
    likely = LIKELY_SUBTAGS.get(tag.language or "")
    return tag.script or (langcodes.Language.get(likely).script if likely else None) or "Latn"


def test_the_order_follows_its_rule() -> None:
    number = Counter(code for name in SETS for code in CARDS[name].languages)
    plain = distinct(sorted(number))
    expected = ["en"]
    for count in sorted(set(number.values()), reverse=True):
        turns: dict[str, list[str]] = defaultdict(list)
        for code in plain:
            if number[code] == count and code not in ("en", *HELD_BACK):
                turns[_script(code)].append(code)
        while any(turns.values()):
            expected += [turns[script].pop(0) for script in sorted(turns) if turns[script]]
    expected += sorted(set(number) - set(plain))
    assert (*expected, *HELD_BACK) == ORDER


def test_every_size_but_all_leaves_tested_languages_unseen() -> None:
    steps = [training_languages(ORDER, size) for size in SIZES]
    assert [len(step) for step in steps] == [1, 2, 4, 8, 16, 32, 64, len(ORDER)]
    for name in ("xquad-r", "tydiqa-goldp"):
        unseen = [len(split_seen(step, CARDS[name].languages)[1]) for step in steps]
        assert min(unseen[:-1]) >= 2
        assert unseen[-1] == 0
        assert unseen == sorted(unseen, reverse=True)


@settings(max_examples=40)
@given(st.sets(st.sampled_from([*ORDER[:70], "qaa", "qab"]), min_size=1), st.lists(st.sampled_from(SIZES), min_size=1))
def test_sets_are_nested_and_do_not_depend_on_the_order_given(codes: set[str], sizes: list[int]) -> None:
    steps: list[tuple[str, ...]] = []
    for size in sorted({size or len(codes) for size in sizes}):
        try:
            steps.append(training_languages(codes, size))
        except PanglotError:
            assert size > len(codes)
            continue
        assert steps[-1] == training_languages(sorted(codes, reverse=True), size)
        assert len(steps[-1]) == size
    for less, more in pairwise(steps):
        assert more[: len(less)] == less
        assert len(less) < len(more)
    assert set(training_languages(codes, 0)) == codes


def test_a_variant_of_a_known_language_is_seen() -> None:
    seen, unseen = split_seen(("pt-BR", "sr"), ["pt", "sr-Latn", "th", "es"])
    assert seen == ("pt", "sr-Latn")
    assert unseen == ("th", "es")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PanglotError, match="at least one language"):
        training_languages([], 0)
    with pytest.raises(PanglotError, match="at least one language"):
        training_languages(["en", "de"], -1)
    with pytest.raises(PanglotError, match="every size is larger"):
        training_languages(["en"], 2)
