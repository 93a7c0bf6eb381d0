"""What people ask of a library of streams, and what answers it here: the data of the second table of operators.md.

The list was made by comparing such libraries, of several languages: what more than one of them has, and many use. Each
line has its name, how much it is asked for (3: by most, 2: by many, 1: by some), and what answers it: names of flow's
own, or of the standard library and more-itertools, which `standard.py` shows. tests/docs/test_operators.py holds that
each name is there.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CAPABILITIES", "Capability"]


class Capability(NamedTuple):
    """One line: `ours` are the spellings, the first one first."""

    name: str
    stars: int
    ours: tuple[str, ...]
    note: str = ""


def _asked(name: str, stars: int, *ours: str, note: str = "") -> Capability:
    return Capability(name, stars, ours, note)


CAPABILITIES: dict[str, list[Capability]] = {
    "Sources": [
        _asked("list / iterable", 3, "flow.wrap"),
        _asked("sync generator (function or object)", 3, "flow.wrap"),
        _asked("async iterable / generator", 3, "flow.wrap", "rows | f"),
        _asked("one value, awaitable, call", 2, "flow.wrap", "flow.wait"),
        _asked(
            "unfold / paginate / callable until sentinel", 2, "flow.wrap", note="a generator; `wrap(f, sentinel=x)`"
        ),
        _asked("ticker, timer, schedule", 3, "flow.every", "flow.sleep"),
        _asked("callback / push source", 3, "flow.Callback"),
        _asked("queue / channel", 3, "flow.Callback", "rows.buffer", note="`wrap(queue.get, sentinel=x)` for a queue"),
        _asked("blocking iterator in a thread", 3, "flow.Threaded"),
        _asked("DB rows, chunked", 2, "flow.QueryIterator", "flow.Threaded"),
        _asked(
            "sockets / endpoints / http / ws", 2, "flow.listen", "flow.connect", "flow.web.Resource", "flow.web.App"
        ),
        _asked(
            "files, dirs, processes, signals",
            2,
            "flow.wrap",
            "flow.Threaded",
            note="`wrap(open(...))` reads in a thread",
        ),
        _asked("resource-backed source", 3, "flow.wrap", note="a generator with `with` or `finally`, which may wait"),
        _asked("cold + repeatable", 2, "flow.Stage", note="each iteration is a run of its own"),
    ],
    "Transforms": [
        _asked("map", 3, "rows.map", "flow.Map"),
        _asked("filter", 3, "rows.filter", "flow.Filter"),
        _asked("flat map (sequential)", 3, "rows.flat_map", "flow.FlatMap"),
        _asked("flatten", 3, "rows.flat_map", "itertools.chain.from_iterable"),
        _asked("enumerate / with index", 2, "rows.enumerate"),
        _asked("tap / side effect", 3, "rows.on_row"),
        _asked("scan / running fold", 2, "itertools.accumulate"),
        _asked("map with state", 2, "rows | f", note="a generator keeps its state in variables"),
        _asked("take / skip", 3, "rows[a:b:c]", "itertools.islice"),
        _asked("take/drop while / until", 3, "rows.take_while", "rows.drop_while", "rows.until"),
        _asked("stop on another stream / event", 2, "rows.until"),
        _asked("distinct / changes", 2, "more_itertools.unique_everseen", "more_itertools.unique_justseen"),
        _asked("group adjacent", 2, "itertools.groupby"),
        _asked("group by key -> substreams / keyed state", 2, "rows.route"),
        _asked("partition / divert / route", 2, "rows.partition", "rows.route"),
        _asked("user operator as plain function", 3, "rows | f", "rows.pipe"),
    ],
    "Ends": [
        _asked("iterate incrementally", 3, "for row in rows", "async for row in rows", "rows.blocks"),
        _asked("collect list / set / dict", 3, "await rows", "rows.collect", "set", "dict"),
        _asked("run / drain / for-each", 3, "rows.collect", "flow.Deferred", note="`Deferred(rows, into=f)`"),
        _asked("first / last / single / find", 2, "more_itertools.first", "more_itertools.last", "more_itertools.one"),
        _asked(
            "reduce / fold / count / sum / min / max / any / all",
            2,
            "functools.reduce",
            "sum",
            "max",
            "any",
            "rows.collect",
        ),
        _asked("as future / Deferred / promise", 2, "await rows", "flow.Deferred"),
    ],
    "Combining and distributing": [
        _asked("chain / concat", 3, "flow.chain", "itertools.chain"),
        _asked("merge (as they come)", 3, "rows.merge", "flow.Merge"),
        _asked("add / drop sources while running", 2, "flow.Merge.add", "flow.Merge.remove"),
        _asked("zip shortest / strict / longest", 3, "rows.zip", "flow.Zip"),
        _asked("combine latest / zip latest / with latest", 2, "flow.combine_latest", "rows.with_latest"),
        _asked("switch to latest", 2, "rows.switch_map"),
        _asked("race / first to emit", 2, "flow.race"),
        _asked("select: which stage is ready (heterogeneous)", 2, "flow.Concurrent"),
        _asked("broadcast / tee / share / replay", 3, "rows.share", "rows.tee", "itertools.tee"),
        _asked("balance over workers", 2, "rows.balance", "rows.map"),
        _asked("partition by hash to parallel stateful lanes", 2, "rows.route", "rows.map", note="`map(f, key=...)`"),
    ],
    "Concurrency": [
        _asked("concurrent map, ordered, bounded", 3, "rows.map", note="`map(f, concurrency=8)`"),
        _asked("concurrent map, unordered", 3, "rows.map", note="`map(f, concurrency=8, ordered=False)`"),
        _asked("concurrent but ordered per key", 2, "rows.map", note="`map(f, concurrency=8, key=...)`"),
        _asked("bounded concurrent flatten / flat_map", 3, "rows.flat_map", note="`flat_map(f, concurrency=8)`"),
        _asked("run stages in parallel (async boundary)", 3, "rows.buffer"),
        _asked("in-flight work goes on while the consumer is busy", 2, "rows.map", "rows.buffer"),
        _asked("background companion flow", 1, "rows.background"),
        _asked(
            "cancel siblings on first error", 3, "flow.Merge", "rows.map", note="always; `on_error=` says otherwise"
        ),
    ],
    "Buffering and back-pressure": [
        _asked("bounded buffer(n)", 3, "rows.buffer"),
        _asked("overflow: drop oldest / newest / fail / latest", 3, "rows.buffer", note="`buffer(n, overflow=...)`"),
        _asked("rendezvous (size 0)", 2, "rows.buffer", note="`buffer(0)`"),
        _asked("pause / resume from outside", 2, "rows.through", "flow.Valve"),
        _asked("transport back-pressure (sockets)", 2, "flow.listen", "flow.makeProtocol", "flow.Protocol"),
    ],
    "Batching and windows": [
        _asked("chunks of n", 3, "rows.batched", "flow.batched", "itertools.batched", "flow.chunks"),
        _asked("n or t, whichever first", 3, "rows.batched", note="`batched(100, within=1)`"),
        _asked(
            "by weight / boundary / predicate",
            2,
            "rows.batched",
            "more_itertools.split_when",
            note="`batched(n, weight=f)`",
        ),
        _asked("whatever is ready now", 2, "rows.blocks"),
        _asked("sliding window", 2, "rows.window", "itertools.pairwise"),
        _asked("time windows (tumbling, hopping)", 2, "rows.window", note="`window(seconds=60, every=10)`"),
        _asked(
            "chunks travel invisibly, items seen one by one", 2, "flow.Threaded", "flow.QueryIterator", "rows.blocks"
        ),
    ],
    "Time": [
        _asked("rate limit / throttle (token bucket, burst, cost)", 3, "rows.rate_limit"),
        _asked("debounce", 2, "rows.debounce"),
        _asked("sample / audit / latest per period", 2, "rows.sample"),
        _asked("delay / delay start / per-item delay", 2, "rows.delay"),
        _asked("timeout per item / total / first / idle", 3, "rows.timeout", "rows.deadline"),
        _asked("keep-alive / heartbeat", 2, "rows.keep_alive"),
        _asked("schedules (cron, backoff, jitter, union)", 2, "flow.every", "flow.Retry", "flow.Merge"),
    ],
    "Errors": [
        _asked("catch / recover with value or stream", 3, "rows.recover", "rows.trap"),
        _asked("retry whole source, with backoff", 3, "rows.retry", "flow.Retry"),
        _asked("retry one item", 3, "rows.map", "flow.Retry", note="`map(f, retry=3)`"),
        _asked(
            "per-stage policy: stop / skip / restart", 2, "rows.map", "rows.retry", note='`map(f, on_row_error="skip")`'
        ),
        _asked("errors as values", 2, "rows.as_values", "rows.from_values", "flow.Ok", "flow.Failed"),
        _asked("dead letters / divert failures", 2, "rows.map", note="`map(f, on_row_error=divert)`"),
        _asked("several errors at once", 2, "flow.Merge", note='an ExceptionGroup; `on_error="collect"`'),
        _asked("finally on every outcome", 3, "rows.finally_", note="and a generator's own `finally`"),
    ],
    "Life of a run": [
        _asked("deterministic close of every stage", 3, "rows.open", note="always, upstream, in order"),
        _asked("cancellation flows up, cleanup awaited", 3, "rows.open", note="always; `open(cleanup=seconds)`"),
        _asked("kill switch / handle / graceful drain", 2, "rows.open", "flow.Drained", "rows.until"),
        _asked("structured concurrency safe (no task group over a user yield)", 3, "flow.wrap", "rows | f"),
        _asked(
            "context variables across stages / switch executor",
            2,
            "rows.open",
            "rows.map",
            note="a run has those of its reader",
        ),
        _asked("hooks: start, first, empty, each, end", 2, "rows.on_start", "rows.on_row", "rows.on_end"),
        _asked("run in background with a result handle", 2, "rows.collect", "flow.Deferred", "rows.background"),
        _asked("restart under supervision", 2, "rows.retry"),
    ],
    "Other loops and threads": [
        _asked("map in threads", 3, "rows.map", note="`map(f, on=executor)`"),
        _asked("map in processes / interpreters", 3, "rows.map", note="`map(f, on=executor)`"),
        _asked("use from sync code", 3, "for row in rows", "flow.Block"),
        _asked("use from asyncio", 3, "async for row in rows", "await rows"),
        _asked("use from trio / anyio", 2, "async for row in rows", "await rows"),
        _asked("use from Twisted", 2, "flow.Deferred", "async for row in rows"),
        _asked("fairness in long CPU work", 2, "flow.cooperate", note="of itself; between two rows by hand"),
    ],
    "Bytes and messages": [
        _asked("lines / delimiter with max length", 3, "flow.lines", "flow.to_lines", "flow.LineBreak"),
        _asked(
            "length prefix / netstring",
            2,
            "flow.length_prefixed",
            "flow.to_length_prefixed",
            "flow.netstrings",
            "flow.to_netstrings",
        ),
        _asked("text decode, JSON / CSV records", 2, "flow.decoded", "flow.encoded", "json.loads", "csv.reader"),
        _asked("duplex protocol: generator is the protocol, codec stack, TLS", 2, "flow.makeProtocol", "flow.listen"),
    ],
    "Testing and watching": [
        _asked("virtual time", 3, "flow.testing.virtual_time"),
        _asked(
            "probes: script demand and events",
            2,
            "flow.testing.Tracked",
            "flow.testing.TrackedSink",
            "flow.testing.marbles",
        ),
        _asked(
            "leak / cleanup assertions", 2, "flow.testing.no_leaks", "flow.testing.torture", "flow.testing.nothing_left"
        ),
        _asked("fake transport", 2, "flow.wrap", "flow.testing.marbles", note="framing takes any iterable of bytes"),
        _asked("print / log taps", 2, "rows.on_row", note="`on_row(print)`"),
        _asked("progress, rates, counts", 3, "rows.progress", "flow.Meter"),
        _asked("tracing spans / names on stages", 2, "flow.Meter", "flow.draw", note="`repr(rows)` names the stages"),
        _asked("draw the graph", 2, "flow.draw"),
        _asked("precise types through a chain", 3, "flow.Stage", note="checked by mypy and pyright, strict"),
    ],
}
"""By kind, in the order of the pages of the book."""
