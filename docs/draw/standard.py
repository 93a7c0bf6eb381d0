"""What the standard library and more-itertools do on a flow as it is: the data of the third table of operators.md.

Each line is an expression with a flow in it as the input, and what comes out: the rows, where it is a stage, or the
value. `named` is what it shows. tests/docs/test_operators.py runs every one of them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SHOWN", "Shown"]


class Shown(NamedTuple):
    named: str
    code: str
    gives: str
    note: str = ""


SHOWN = [
    Shown("itertools.accumulate", "flow.wrap([1, 2, 3]) | itertools.accumulate", "1, 3, 6", "a running fold"),
    Shown("itertools.islice", "flow.wrap(range(9)).pipe(itertools.islice, 2, 5)", "2, 3, 4", "`rows[2:5]`"),
    Shown("itertools.pairwise", "flow.wrap([1, 2, 3]) | itertools.pairwise", "(1, 2), (2, 3)", "neighbours"),
    Shown(
        "itertools.groupby",
        "(flow.wrap(['a', 'b', 'B']) | partial(itertools.groupby, key=str.upper)).map(lambda g: (g[0], list(g[1])))",
        "('A', ['a']), ('B', ['b', 'B'])",
        "neighbours of one key; read each group before the next",
    ),
    Shown("itertools.takewhile", "flow.wrap([1, 2, 9, 1]) | partial(itertools.takewhile, lambda n: n < 5)", "1, 2"),
    Shown("itertools.dropwhile", "flow.wrap([1, 9, 1]) | partial(itertools.dropwhile, lambda n: n < 5)", "9, 1"),
    Shown("itertools.filterfalse", "flow.wrap([1, 0, 2]) | partial(itertools.filterfalse, bool)", "0"),
    Shown("itertools.compress", "flow.wrap('abc').flat_map(list).pipe(itertools.compress, [1, 0, 1])", "'a', 'c'"),
    Shown("itertools.starmap", "flow.wrap([(2, 3), (3, 2)]) | partial(itertools.starmap, pow)", "8, 9"),
    Shown(
        "itertools.chain.from_iterable",
        "flow.wrap([[1, 2], [3]]) | itertools.chain.from_iterable",
        "1, 2, 3",
        "flatten",
    ),
    Shown(
        "itertools.chain",
        "flow.wrap(itertools.chain(flow.wrap([1]), flow.wrap([2, 3])))",
        "1, 2, 3",
        "`flow.chain` opens each when its turn comes, and closes it then",
    ),
    Shown(
        "itertools.batched",
        "flow.wrap(range(5)) | partial(itertools.batched, n=2)",
        "(0, 1), (2, 3), (4,)",
        "Python 3.12; `rows.batched(2)`, which also goes by time and weight",
    ),
    Shown(
        "itertools.zip_longest",
        "flow.wrap(itertools.zip_longest(flow.wrap([1, 2]), flow.wrap(['a'])))",
        "(1, 'a'), (2, None)",
        "one after another; `flow.Zip(a, b, fill=None)` asks both at once",
    ),
    Shown(
        "itertools.tee",
        "flow.wrap([1, 2, 3]) | (lambda rows: zip(*itertools.tee(rows)))",
        "(1, 1), (2, 2), (3, 3)",
        "inside one stage, without a bound; `rows.tee(2)` and `rows.share()` are for several readers, and have one",
    ),
    Shown("itertools.count", "flow.Zip(itertools.count(1), ['a', 'b'])", "(1, 'a'), (2, 'b')", "sources"),
    Shown(
        "itertools.cycle", "(flow.wrap(['a', 'b']) | itertools.cycle)[:5]", "'a', 'b', 'a', 'b', 'a'", "holds a round"
    ),
    Shown("enumerate", "flow.wrap(['a', 'b']) | enumerate", "(0, 'a'), (1, 'b')", "`rows.enumerate()`"),
    Shown("sorted", "flow.wrap([3, 1, 2]) | sorted", "1, 2, 3", "holds all rows"),
    Shown(
        "iter", "flow.wrap(iter([3, 2, 0, 1].pop, 2))", "1, 0", "`flow.wrap(f, sentinel=x)`, which can be read again"
    ),
    Shown(
        "heapq.merge",
        "flow.wrap(heapq.merge(flow.wrap([1, 4]), flow.wrap([2, 3])))",
        "1, 2, 3, 4",
        "`flow.merge_sorted` waits for all inputs at once",
    ),
    Shown("heapq.nlargest", "heapq.nlargest(2, flow.wrap([5, 1, 4]))", "[5, 4]"),
    Shown("functools.reduce", "functools.reduce(operator.mul, flow.wrap([2, 3, 4]))", "24", "a fold"),
    Shown("statistics.fmean", "statistics.fmean(flow.wrap([1, 2, 6]))", "3.0"),
    Shown("sum", "sum(flow.wrap([1, 2, 3]))", "6"),
    Shown("max", "max(flow.wrap(['a', 'ccc', 'bb']), key=len)", "'ccc'"),
    Shown("any", "any(row > 2 for row in flow.wrap([1, 3, 5]))", "True", "reads no further than it must; `all`, too"),
    Shown("set", "set(flow.wrap([1, 1, 2]))", "{1, 2}", "`tuple`, `list`, `dict`, too"),
    Shown("dict", "dict(flow.wrap([('a', 1), ('b', 2)]))", "{'a': 1, 'b': 2}"),
    Shown("collections.Counter", "collections.Counter(flow.wrap(['a', 'b', 'a']))", "Counter({'a': 2, 'b': 1})"),
    Shown(
        "collections.deque",
        "collections.deque(flow.wrap(range(9)), maxlen=2)",
        "deque([7, 8], maxlen=2)",
        "the last ones",
    ),
    Shown("operator.itemgetter", "flow.wrap([('a', 1), ('b', 2)]).map(operator.itemgetter(1))", "1, 2", "one column"),
    Shown(
        "json.loads",
        "(flow.wrap([b'[1]\\n{\"a', b'\": 2}']) | flow.lines()).map(json.loads)",
        "[1], {'a': 2}",
        "JSON lines",
    ),
    Shown("json.dumps", "flow.wrap([[1], {'a': 2}]).map(json.dumps) | flow.to_lines()", "'[1]\\n', '{\"a\": 2}\\n'"),
    Shown(
        "csv.reader",
        "flow.wrap([b'a,\"b', b'\\nc\"\\n1,2\\n']) | flow.decoded() | flow.lines('\\n', keepends=True) | csv.reader",
        "['a', 'b\\nc'], ['1', '2']",
        "out of bytes that arrive",
    ),
    Shown("csv.DictReader", "flow.wrap(['a,b', '1,2']) | csv.DictReader", "{'a': '1', 'b': '2'}"),
    Shown(
        "codecs.iterdecode",
        "flow.wrap([b'\\xc3', b'\\xa9']).pipe(codecs.iterdecode, 'utf-8')",
        "'é'",
        "`flow.decoded()`, which checks the name at once",
    ),
    Shown(
        "zlib.decompressobj",
        "flow.wrap([zlib.compress(b'abc')]).map(zlib.decompressobj().decompress)",
        "b'abc'",
        "one run: a generator makes one for each",
    ),
    Shown(
        "more_itertools.first",
        "more_itertools.first(flow.wrap([1, 2, 3]))",
        "1",
        "`more_itertools.first(rows, default)`",
    ),
    Shown("more_itertools.last", "more_itertools.last(flow.wrap([1, 2, 3]))", "3"),
    Shown(
        "more_itertools.one", "more_itertools.one(flow.wrap([1]))", "1", "the only one; ValueError if there are others"
    ),
    Shown("more_itertools.ilen", "more_itertools.ilen(flow.wrap([1, 2, 3]))", "3", "how many"),
    Shown(
        "more_itertools.first_true",
        "more_itertools.first_true(flow.wrap([1, 7, 9]), pred=lambda n: n > 5)",
        "7",
        "find",
    ),
    Shown(
        "more_itertools.unique_justseen",
        "flow.wrap([1, 1, 2, 1]) | more_itertools.unique_justseen",
        "1, 2, 1",
        "changes",
    ),
    Shown(
        "more_itertools.unique_everseen",
        "flow.wrap([1, 2, 1]) | more_itertools.unique_everseen",
        "1, 2",
        "holds what it has seen",
    ),
    Shown(
        "more_itertools.split_when",
        "flow.wrap([1, 2, 5, 6]).pipe(more_itertools.split_when, lambda a, b: b - a > 1)",
        "[1, 2], [5, 6]",
        "by boundary",
    ),
    Shown("more_itertools.intersperse", "flow.wrap([1, 2]) | partial(more_itertools.intersperse, 0)", "1, 0, 2"),
    Shown("more_itertools.prepend", "flow.wrap([1, 2]) | partial(more_itertools.prepend, 0)", "0, 1, 2"),
    Shown(
        "more_itertools.peekable",
        "flow.wrap([1, 2]) | more_itertools.peekable",
        "1, 2",
        "inside a stage: look at a row before it is taken",
    ),
    Shown(
        "more_itertools.map_reduce",
        "dict(more_itertools.map_reduce(flow.wrap(['a', 'bb', 'c']), len))",
        "{1: ['a', 'c'], 2: ['bb']}",
        "groups, all held",
    ),
    Shown(
        "more_itertools.strictly_n",
        "flow.wrap([1, 2]).pipe(more_itertools.strictly_n, 2)",
        "1, 2",
        "ValueError for more, or fewer",
    ),
    Shown(
        "more_itertools.with_iter",
        "flow.wrap(more_itertools.with_iter(io.StringIO('a\\nb\\n')))",
        "'a\\n', 'b\\n'",
        "`flow.wrap(file)` closes it, too",
    ),
]
"""In the order of the modules."""
