"""Blocks: short transactions whatever a row costs, few of them where little differs, nothing left behind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncer.cycle.blocks import LARGEST, LONGEST_WAIT, SHORT, SMALLEST, Blocks, DisturbedError

pytestmark = pytest.mark.anyio


class Paper:
    """Takes what is written, each row at a cost."""

    def __init__(self, cost: float = 0.0, *, disturbed: bool = False) -> None:
        self.at = 0.0
        self.disturbed = disturbed
        self.cost = cost
        self.written: list[list[int]] = []

    def now(self) -> float:
        return self.at

    async def sift(self, pages: Sequence[list[int]]) -> list[int]:
        return [row for page in pages for row in page if row % 10]

    async def write(self, rows: Sequence[int]) -> None:
        if self.disturbed and len(rows) > SMALLEST:
            raise DisturbedError
        self.at += self.cost * len(rows)
        self.written.append(list(rows))

    def blocks(self) -> Blocks[list[int], int]:
        return Blocks(self.sift, self.write, now=self.now)


async def test_what_differs_is_written_in_order_and_nothing_else() -> None:
    paper = Paper()
    blocks = paper.blocks()
    for start in range(0, 2000, 100):
        await blocks.take([list(range(start, start + 100))])
    await blocks.flush()
    assert [row for block in paper.written for row in block] == [n for n in range(2000) if n % 10]
    assert max(map(len, paper.written)) <= LARGEST


async def test_a_change_here_and_there_waits_for_others() -> None:
    paper = Paper()
    blocks = paper.blocks()
    for n in range(50):
        await blocks.take([[n * 10, n * 10 + 1]])
    assert paper.written == []
    await blocks.flush()
    assert [len(block) for block in paper.written] == [50]


async def test_but_not_for_ever() -> None:
    paper = Paper()
    blocks = paper.blocks()
    await blocks.take([[1]])
    paper.at += LONGEST_WAIT + 1
    await blocks.take([[2]])
    assert paper.written == [[1, 2]]


async def test_rows_that_cost_much_are_written_few_at_a_time() -> None:
    paper = Paper(cost=SHORT / 80)
    blocks = paper.blocks()
    await blocks.take([list(range(2000))])
    assert max(map(len, paper.written[1:])) <= 80
    dear = Paper(cost=SHORT)
    blocks = dear.blocks()
    await blocks.take([list(range(2000))])
    assert {len(block) for block in dear.written[1:-1]} == {SMALLEST}
    assert sum(map(len, dear.written)) == 1800


async def test_where_others_write_all_the_time_fewer_rows_are_written_at_once() -> None:
    paper = Paper(disturbed=True)
    blocks = paper.blocks()
    await blocks.take([list(range(1000))])
    await blocks.flush()
    assert [row for block in paper.written for row in block] == [n for n in range(1000) if n % 10]
    assert {len(block) for block in paper.written[:-1]} == {SMALLEST}


async def test_nothing_is_written_where_nothing_differs() -> None:
    paper = Paper()
    blocks = paper.blocks()
    await blocks.take([[10, 20]])
    await blocks.flush()
    assert paper.written == []
