"""What happens to open runs when the interpreter ends: CONTRACT 23a."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

COMMON = """
import asyncio, sys
import flow
flow.Merge, flow.Threaded, flow.Callback  # imported here: asyncio's debug mode tells of a loop that is held up

def source():
    try:
        n = 0
        while True:
            yield n
            n += 1
    finally:
        import json  # an import in a finally fails when the interpreter is half gone
        json.dumps(1)

def waiting():
    try:
        yield 1
        yield flow.Cooperate(1000)
    finally:
        pass

async def agen(rows):
    async for row in rows:
        yield row
"""

PROGRAMS = {
    "script": "rows = iter(flow.wrap(source)); next(rows)",
    "script, merge": "rows = iter(flow.Merge(source, source)); next(rows)",
    "script, thread": "rows = iter(flow.Threaded(source, limit=3)); next(rows)",
    "script, async stage": "rows = iter(flow.wrap(source) | agen); next(rows)",
    "script, blocks": "rows = iter(flow.wrap(waiting).blocks()); next(rows)",
    "asyncio, between rows": """
        async def main():
            global reader
            reader = aiter(flow.wrap(source)); await anext(reader)
        asyncio.run(main())
    """,
    "asyncio, merge": """
        async def main():
            global reader
            reader = aiter(flow.Merge(source, waiting)); await anext(reader); await anext(reader)
        asyncio.run(main())
    """,
    "asyncio, async stage": """
        async def main():
            global reader
            reader = aiter(flow.wrap(source) | agen); await anext(reader)
        asyncio.run(main())
    """,
    "asyncio, thread": """
        async def main():
            global reader
            reader = aiter(flow.Threaded(source, limit=3)); await anext(reader)
        asyncio.run(main())
    """,
    "asyncio, at a wait": """
        async def read():
            async for row in flow.wrap(waiting):
                pass
        async def main():
            global task
            task = asyncio.create_task(read())
            await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "asyncio, a loop that is left": """
        loop = asyncio.new_event_loop()
        async def read():
            global reader
            reader = aiter(flow.Merge(source, waiting)); await anext(reader)
        loop.run_until_complete(read())
        loop.close()
    """,
    "trio": """
        import trio
        async def main():
            global reader
            reader = aiter(flow.Merge(source, waiting)); await anext(reader)
        trio.run(main)
    """,
    "callback": """
        callback = flow.Callback()
        callback.result(1)
        rows = iter(callback); next(rows)
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_open_run_does_not_disturb_the_exit(name: str) -> None:
    """CONTRACT 23a: no hang, nothing on stderr, exit status 0, though a run is still open."""
    program = COMMON + textwrap.dedent(PROGRAMS[name])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
