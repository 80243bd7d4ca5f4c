"""What is known about one data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """One known data set.

    Attributes:
        name: What the user calls it.
        title: One line about it.
        task: What its questions and passages are.
        languages: Canonical codes, sorted.
        parallel: What ties its translations, or "no".
        size: Its size in words.
        licence: Its licence.
        source: Where to get it.
        folder: The name of its folder under the data folder.
        files: One pattern, below that folder, that tells whether the set is there.
        parts: What ``NAME:PART`` may say; the first is the default. Empty where there are no parts.
        candidates: What ``candidates`` may say; the first is the default.
        test_only: Parts that must never be trained on; "*" is all.
        hub: Repository of data sets on the hub that holds it, or "".
        hub_files: Patterns of the files of that repository that are needed.
        draws_on: Names of other sets that must be at hand, for it takes passages from them.
        pairs: The set is a row of pairs with English, each a set of its own: ``NAME:XX``, and no whole.
    """

    name: str
    title: str
    task: str
    languages: tuple[str, ...]
    parallel: str
    size: str
    licence: str
    source: str
    folder: str = ""
    files: str = "*.json*"
    parts: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ("paragraph",)
    test_only: tuple[str, ...] = ()
    hub: str = ""
    hub_files: tuple[str, ...] = ()
    draws_on: tuple[str, ...] = ()
    pairs: bool = False

    def is_test_only(self, part: str) -> bool:
        """Tell whether ``part`` ("" where there are none) must never be trained on."""
        return "*" in self.test_only or part in self.test_only


def codes(text: str) -> tuple[str, ...]:
    """Return the codes in ``text``, sorted."""
    return tuple(sorted(text.split()))
