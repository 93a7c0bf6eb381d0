"""The types of flow.testing, and of framing. Read by type checkers, never run."""

# mypy: disable-error-code="unused-awaitable"
# pyright: standard, reportUnusedExpression=false, reportUnusedCoroutine=false

from collections.abc import Iterator
from typing import Any, assert_type

import flow
from flow.testing import Report, Tracked, TrackedSink, VirtualTime, marbles, no_leaks, timeline, torture, virtual_time


async def main() -> list[str]:
    return await flow.wrap(["a"])


with virtual_time() as clock:
    assert_type(clock, VirtualTime)
    assert_type(clock.run(main()), list[str])
    assert_type(clock.time(), float)

with virtual_time(7, loop="trio") as on_trio:
    assert_type(on_trio, VirtualTime)

with virtual_time(loop="twisted") as on_twisted:
    assert_type(on_twisted.run(main()), list[str])
    assert_type(on_twisted.run(flow.Deferred(flow.wrap([1]))), list[int])
    assert_type(on_twisted.reactor, Any)

source = Tracked([1, 2], delay=[0, 1], fail=OSError(), fail_after=1)
assert_type(source, Tracked[int])
assert_type(source.asked_at, list[float])
for number in flow.wrap(source):
    assert_type(number, int)

sink: TrackedSink[int] = TrackedSink(delay=1, leave=3)
sink.read(flow.wrap([1]))
assert_type(sink.rows, list[int])


async def reading() -> None:
    assert_type(await sink.aread(flow.wrap([1])), None)
    async with no_leaks(source) as block:
        assert_type(block, no_leaks)


assert_type(marbles("a-b|", values={"a": 1}), flow.Stage[Any])
assert_type(timeline(flow.wrap([1]), leave=3), str)
assert_type(torture(lambda: flow.wrap([1]), tracked=lambda: [source], seeds=range(3)), Report)

# Framing

pieces = flow.wrap([b"a"])
assert_type(pieces | flow.netstrings(), flow.Stage[bytes])
assert_type(pieces | flow.length_prefixed(2, byteorder="little"), flow.Stage[bytes])
assert_type(pieces | flow.to_length_prefixed(), flow.Stage[bytes])
assert_type(pieces | flow.to_netstrings(), flow.Stage[bytes])
assert_type(pieces | flow.decoded(), flow.Stage[str])
assert_type(pieces | flow.decoded() | flow.lines("\n", keepends=True), flow.Stage[str])
assert_type(flow.wrap(["a"]) | flow.to_lines("\n") | flow.encoded(), flow.Stage[bytes])
assert_type(flow.lines("\n")(["a"]), Iterator[str])
