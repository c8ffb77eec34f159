"""Cases for every combination of several values: `make test` runs a sample of them, `make soak` the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest


def sample(every: int, *axes: Iterable[Any]) -> list[Any]:
    """All combinations. Those on every n-th diagonal are the sample, so that it has each value of each axis."""
    lists = [list(enumerate(axis)) for axis in axes]
    return [
        pytest.param(
            *(value for _, value in one), marks=[pytest.mark.soak] if sum(n for n, _ in one) % every else []
        )
        for one in itertools.product(*lists)
    ]
