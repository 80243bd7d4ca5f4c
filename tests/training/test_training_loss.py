"""InfoNCE against the formula, written out."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from panglot.training.gradient import info_nce


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(scores: np.ndarray, positive: np.ndarray, ignored: np.ndarray) -> float:
    rows = []
    for i in range(len(scores)):
        negatives = sum(
            math.exp(scores[i, j]) for j in range(scores.shape[1]) if not positive[i, j] and not ignored[i, j]
        )
        terms = [
            -math.log(math.exp(scores[i, j]) / (math.exp(scores[i, j]) + negatives))
            for j in range(scores.shape[1])
            if positive[i, j]
        ]
        rows.append(sum(terms) / len(terms))
    return sum(rows) / len(rows)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(0, 4), st.booleans())
def test_loss_is_the_formula(seed: int, size: int, extra: int, symmetric: bool) -> None:
    rng = np.random.default_rng(seed)
    questions, passages = (unit(rng.normal(size=(n, 5))) for n in (size, size + extra))
    positive = np.eye(size, size + extra, dtype=bool) | (rng.random((size, size + extra)) < 0.1)
    positive[:, size:] = False
    ignored = (rng.random(positive.shape) < 0.1) & ~positive
    temperature = 0.3
    scores = questions @ passages.T / temperature
    expected = by_hand(scores, positive, ignored)
    if symmetric:
        expected = (expected + by_hand(scores.T[:size], positive.T[:size], ignored.T[:size])) / 2
    found = info_nce(
        torch.tensor(questions), torch.tensor(passages), temperature=temperature, positive=torch.tensor(positive),
        ignored=torch.tensor(ignored), symmetric=symmetric,
    )  # fmt: skip
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_one_positive_is_cross_entropy() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
    scores = vectors[0] @ vectors[1].T / 0.05
    expected = torch.nn.functional.cross_entropy(scores, torch.arange(7))
    assert float(info_nce(vectors[0], vectors[1], temperature=0.05)) == pytest.approx(float(expected), abs=1e-6)
