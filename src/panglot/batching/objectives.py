"""The batches of a step of gradient mixing: one of every objective, or of a drawn few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.batch import Batch
from panglot.batching.plan import Plan, uniforms
from panglot.batching.policy import DISTILL, Batches, Objective, Policy, eligible_rows, pair_counts, shares
from panglot.batching.table import TrainingTable
from panglot.data.collection import Ints

FAMILIES = ("language", "pair")
_BLOCK = 256


def parse_objectives(
    specs: Sequence[str], sources: Sequence[TrainingTable], temperature: float
) -> tuple[Objective, ...]:
    """Return the objectives that are written as ``specs``.

    Args:
        specs: ``NAME[:WEIGHT]`` each. The name is a kind of batches, ``distill``, ``language`` (one objective per
            language, with ``mono`` batches) or ``pair`` (one per language pair, including a language with itself).
            Without a weight, a kind weighs 1. The members of a family weigh 1 together, in proportion to n^(1/T), where
            n is the number of eligible rows.
        sources: The training tables that the objectives draw from.
        temperature: T.

    Raises:
        PanglotError: A name is unknown or is there twice, a weight is not above 0, or a family has no rows.
    """
    found: list[Objective] = []
    for spec in specs:
        name, _, weight = spec.partition(":")
        known = (*(kind for kind in get_args(Batches) if kind != "hybrid"), "distill", *FAMILIES)
        if name not in known:
            raise PanglotError(
                f"unknown objective {name!r}", field="objectives", hint=f"choose from {', '.join(known)}"
            )
        total = _weight(spec, weight)
        if name in FAMILIES:
            found.extend(_family(name, sources, temperature, total))
        else:
            kinds = _distilled(sources) if name == "distill" else (name,)
            found.append(Objective(name, tuple((kind, 1 / len(kinds)) for kind in kinds), total))
    names = [objective.name for objective in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PanglotError(f"{min(twice)!r} is named twice", field="objectives", hint="name each objective once")
    if len(found) < 2:
        raise PanglotError(
            f"at least two objectives are required for mixing, got {', '.join(names) or 'none'}",
            field="objectives",
            hint="name two or more, or a set with more languages, or leave mixing at none",
        )
    return tuple(found)


class Mixture:
    """The batches of a run that mixes gradients: ``mixture(k)`` are those of step k, a pure function of (seed, k).

    Each objective has a :class:`Plan` of its own, so its batches have ``batch_size`` questions whatever the number of
    objectives, and every row of its streams comes once an epoch.

    Args:
        sources: The sources, each with its own name.
        policy: Batch size, α, temperatures, seed; its ``batches`` is not used.
        specs: As :func:`parse_objectives` takes them.
        per_step: Objectives per step, drawn without replacement; 0: all.
    """

    def __init__(
        self, sources: Sequence[TrainingTable], policy: Policy, specs: Sequence[str], per_step: int = 0
    ) -> None:
        self.sources = tuple(sources)
        self.objectives = parse_objectives(specs, self.sources, policy.language_temperature)
        if per_step == 1 or per_step > len(self.objectives):
            raise PanglotError(
                f"must be 0 or between 2 and {len(self.objectives)}, got {per_step}",
                field="objectives_per_step",
                hint=f"choose from 2 to {len(self.objectives)}, or 0 for all",
            )
        self._policy = policy
        self._plans: dict[int, Plan] = {}
        self._drawn = per_step or len(self.objectives)
        self._seed = policy.seed
        self._chosen: list[Ints] = []
        self._before: list[Ints] = [np.zeros(len(self.objectives), np.int64)]

    def __call__(self, k: int) -> dict[int, Batch]:
        """Return the batches of step ``k``, counted from 0, by the number of their objective."""
        return {index: replace(self._plan(index)(turn), step=k) for index, turn in self.draw(k)}

    def draw(self, k: int) -> Iterator[tuple[int, int]]:
        """Yield the number of each objective that step ``k`` takes, and how many earlier steps did."""
        if k < 0:
            raise ValueError(f"there is no step {k}")
        if self._drawn == len(self.objectives):
            yield from ((index, k) for index in range(self._drawn))
            return
        block, place = divmod(k, _BLOCK)
        while len(self._chosen) <= block:
            chance = uniforms(_BLOCK * len(self.objectives), "objectives", self._seed, len(self._chosen))
            order = np.argsort(chance.reshape(_BLOCK, -1), axis=1, kind="stable")
            chosen = np.sort(order[:, : self._drawn], axis=1)
            self._before.append(self._before[-1] + np.bincount(chosen.ravel(), minlength=len(self.objectives)))
            self._chosen.append(chosen)
        chosen = self._chosen[block]
        for index in chosen[place].tolist():
            yield index, int(self._before[block][index] + np.count_nonzero(chosen[:place] == index))

    def _plan(self, index: int) -> Plan:
        # Made when first drawn, because a hundred languages have ten thousand pairs.
        if index not in self._plans:
            self._plans[index] = Plan(self.sources, self._policy, self.objectives[index])
        return self._plans[index]


def _weight(spec: str, written: str) -> float:
    try:
        weight = float(written or 1)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise PanglotError(f"the weight of {spec!r} must be above 0", field="objectives", hint="write NAME:WEIGHT")
    return weight


def _distilled(sources: Sequence[TrainingTable]) -> tuple[str, ...]:
    """Return the kinds of distillation that some table has rows for."""
    found = tuple(kind for kind in DISTILL if any(eligible_rows(kind, source).sum() > 1 for source in sources))
    if not found:
        raise PanglotError(
            "distill needs texts in English and in another language, and there are none",
            field="objectives",
            hint="add a set with English among its languages, or leave distill out",
        )
    return found


def _family(name: str, sources: Sequence[TrainingTable], temperature: float, total: float) -> list[Objective]:
    counts: dict[tuple[str, str], int] = {}
    for source in sources:
        pairs = pair_counts(source)
        for x, question in enumerate(source.languages):
            for y, passage in enumerate(source.languages):
                if pairs[x, y] > 1 and (x == y or name == "pair"):
                    counts[question, passage] = counts.get((question, passage), 0) + int(pairs[x, y])
    if not counts:
        raise PanglotError(
            f"no two rows share a {name}",
            field="objectives",
            hint="add a set with questions and passages in one language, or choose other objectives",
        )
    pairs = sorted(counts)
    weights = shares([counts[pair] for pair in pairs], temperature) * total
    return [
        Objective(
            x if name == "language" else f"{x}-{y}", (("mono" if x == y else "cross-pair", 1.0),), float(weight), x, y
        )
        for (x, y), weight in zip(pairs, weights, strict=True)
    ]
