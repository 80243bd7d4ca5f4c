"""The batches of a step of gradient mixing: one of every objective, or of a drawn few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from panglot._errors import PanglotError
from panglot.batching.plan import Plan
from panglot.batching.policy import Batch, Batches, Draws, Objective, Policy, shares, uniforms
from panglot.batching.table import DISTILL, TrainingTable, eligible_rows, pair_counts
from panglot.data.collection import Ints

_FAMILIES = ("language", "pair")
# Objectives whose batches are looked at for warnings, of the thousands that there may be.
_LOOKED_AT = 64
_BLOCK = 256


def parse_objectives(
    specs: Sequence[str], sources: Sequence[TrainingTable], temperature: float
) -> tuple[Objective, ...]:
    """Return the objectives that are written as ``specs``, ``NAME[:WEIGHT]`` each.

    The name is a kind of batches, ``distill``, ``language`` (one objective per language, with ``mono`` batches) or
    ``pair`` (one per language pair, including a language with itself). Without a weight, a kind weighs 1. The members
    of a family weigh 1 together, in proportion to n^(1/T), where n is the number of eligible rows and T the
    ``temperature``.

    Raises:
        PanglotError: A name is unknown or is there twice, a weight is not above 0, or a family has no rows.
    """
    found: list[Objective] = []
    for spec in specs:
        name, _, weight = spec.partition(":")
        known = (*(kind for kind in get_args(Batches) if kind != "hybrid"), "distill", *_FAMILIES)
        if name not in known:
            hint = f"choose from {', '.join(known)}"
            raise PanglotError(f"unknown objective {name!r}", field="objectives", hint=hint)
        total = _weight(spec, weight)
        if name in _FAMILIES:
            found.extend(_family(name, sources, temperature, total))
        else:
            kinds = _distilled(sources) if name == "distill" else (name,)
            found.append(Objective(name, tuple((kind, 1 / len(kinds)) for kind in kinds), total))
    names = [objective.name for objective in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PanglotError(f"{min(twice)!r} is named twice", field="objectives", hint="name each objective once")
    if len(found) < 2:
        problem = f"at least two objectives are required for mixing, got {', '.join(names) or 'none'}"
        hint = "name two or more, or a set with more languages, or leave mixing at none"
        raise PanglotError(problem, field="objectives", hint=hint)
    return tuple(found)


class Mixture:
    """The batches of a run that mixes gradients: ``mixture(k)`` are those of step k, a pure function of (seed, k).

    Each objective has a :class:`Plan` of its own, so its batches have ``batch_size`` questions whatever the number of
    objectives, and every row of its streams comes once an epoch.

    Of the policy, ``batches`` is not used. ``per_step`` is the number of objectives per step, drawn without
    replacement. 0 means all.
    """

    def __init__(
        self, sources: Sequence[TrainingTable], policy: Policy, specs: Sequence[str], per_step: int = 0
    ) -> None:
        self.sources = tuple(sources)
        self.objectives = parse_objectives(specs, self.sources, policy.language_temperature)
        if per_step == 1 or per_step > len(self.objectives):
            problem = f"must be 0 or between 2 and {len(self.objectives)}, got {per_step}"
            hint = f"choose from 2 to {len(self.objectives)}, or 0 for all"
            raise PanglotError(problem, field="objectives_per_step", hint=hint)
        self._policy = policy
        self._plans: dict[int, Plan] = {}
        self._per_step = per_step or len(self.objectives)
        self._draws = Draws(len(self.objectives), _BLOCK, self._draw_block)

    def __call__(self, k: int) -> dict[int, Batch]:
        """Return the batches of step ``k``, counted from 0, by the number of their objective."""
        return {index: replace(self._plan(index)(turn), step=k) for index, turn in self.draw(k)}

    def draw(self, k: int) -> list[tuple[int, int]]:
        """Return the number of each objective that step ``k`` takes, and how many earlier steps did."""
        if self._per_step == len(self.objectives) and k >= 0:
            return [(index, k) for index in range(self._per_step)]
        return self._draws(k)

    @property
    def carried_over(self) -> tuple[str, ...]:
        """As :attr:`Plan.carried_over`, of the first objectives."""
        return tuple(sorted({name for plan in self._first_plans() for name in plan.carried_over}))

    @property
    def warnings(self) -> dict[str, str]:
        """As :attr:`Plan.warnings`, of the first objectives."""
        return {source: warning for plan in self._first_plans() for source, warning in plan.warnings.items()}

    def _first_plans(self) -> Iterator[Plan]:
        yield from map(self._plan, range(min(len(self.objectives), _LOOKED_AT)))

    def _draw_block(self, block: int, _: Ints) -> Ints:
        chance = uniforms(_BLOCK * len(self.objectives), "objectives", self._policy.seed, block)
        order = np.argsort(chance.reshape(_BLOCK, -1), axis=1, kind="stable")
        return np.sort(order[:, : self._per_step], axis=1)

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
        problem = "distill needs texts in English and in another language, and found none"
        hint = "add a set with English among its languages, or leave distill out"
        raise PanglotError(problem, field="objectives", hint=hint)
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
        hint = "add a set with questions and passages in one language, or choose other objectives"
        raise PanglotError(f"no two rows share a {name}", field="objectives", hint=hint)
    pairs = sorted(counts)
    weights = shares([counts[pair] for pair in pairs], temperature) * total
    return [
        Objective(
            x if name == "language" else f"{x}-{y}", (("mono" if x == y else "cross-pair", 1.0),), float(weight), x, y
        )
        for (x, y), weight in zip(pairs, weights, strict=True)
    ]
