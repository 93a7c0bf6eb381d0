"""Deep and wide: CONTRACT 23."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

import flow
from flow.testing import virtual_time


def more(rows: Iterator[int]) -> Iterator[int]:
    for row in rows:
        yield row + 1


def chain(depth: int) -> flow.Stage[int]:
    stage: flow.Stage[int] = flow.wrap([0, 1])
    for _ in range(depth):
        stage = stage | more
    return stage


async def everything(stage: flow.Stage[int]) -> list[int]:
    return await stage


def test_200_plain_stages_work() -> None:
    """CONTRACT 23: 200 plain stages run under Python's own recursion limit, in a script and on a loop."""
    assert list(chain(200)) == [200, 201]
    assert asyncio.run(everything(chain(200))) == [200, 201]


DEEP = """
import asyncio, sys
sys.path[:0] = {path!r}
from tests.core.test_depth import chain, everything
stage = chain(100_000)
for read in (lambda: list(stage), lambda: asyncio.run(everything(stage))):
    try:
        rows = read()
    except RecursionError as error:
        assert any("has 100001 stages" in note for note in error.__notes__), error.__notes__
    else:
        assert rows == [100_000, 100_001]
print("alive")
"""


def test_100_000_stages_work_or_raise_a_clear_error() -> None:
    """CONTRACT 23: a chain that is too deep for Python raises RecursionError with the number; it never crashes."""
    program = DEEP.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@pytest.mark.parametrize("waits", [False, True])
def test_10_000_merged_inputs_work(waits: bool) -> None:
    """CONTRACT 23: 10,000 inputs of one merge give all their rows, ready or waiting side by side for one second."""

    def source(number: int) -> Iterator[object]:
        yield number
        if waits:
            yield flow.Cooperate(1)
        yield number

    with virtual_time() as clock:

        async def main() -> None:
            rows = await flow.Merge(*[source(number) for number in range(10_000)])
            assert sorted(rows) == sorted([*range(10_000)] * 2)
            assert clock.time() == (1 if waits else 0)

        clock.run(main())
