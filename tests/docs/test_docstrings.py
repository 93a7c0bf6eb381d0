"""The example at the end of each public docstring is right.

The convention: the last part of a docstring, indented by four spaces, is code. A comment behind an expression shows its
value; when the expression is a stage, its rows: ``flow.Merge([1, 2], [10, 20])   # 1, 10, 2, 20``. What the example
uses and does not define is supplied here. A function or class that it defines is run, too, where SAMPLES has rows for
it.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import itertools
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import flow
import flow.testing
from flow.testing import Deadlock, Tracked, nothing_left, torture, virtual_time

SOURCE = Path(flow.__file__).parent
NOTHING = object()

# For functions that take rows: some rows, by the name of the argument.
SAMPLES: dict[str, Any] = {"rows": [1, 2, 3], "urls": ["a", "b"], "numbers": [4, 9]}

# These examples are lines of a stage: they stand in a generator, and something reads that.
IN_A_STAGE = {"flow.Cooperate", "flow.Concurrent"}

# These need a process of their own.
IN_A_PROCESS = {"flow.Deferred"}


def public() -> dict[str, Any]:
    """Everything that a user can name, and its methods: "flow.Stage.map" -> the function."""
    found: dict[str, Any] = {}
    for module in (flow, flow.testing):
        late = ["Deferred", *flow._LATER] if module is flow else []  # pyright: ignore[reportPrivateUsage]
        names = dict.fromkeys(name for name in [*vars(module), *late] if not name.startswith("_"))
        for name in names:
            thing = getattr(module, name)
            if isinstance(thing, types.ModuleType) or not getattr(thing, "__module__", "").startswith("flow"):
                continue
            found[f"{module.__name__}.{name}"] = thing
            if inspect.isclass(thing):
                for attribute, value in vars(thing).items():
                    inner = value.fget if isinstance(value, property) else value
                    if not attribute.startswith("_") and inspect.isfunction(inner):
                        found[f"{module.__name__}.{name}.{attribute}"] = inner
    return found


def example_of(thing: Any) -> str | None:
    """The indented part at the end of its docstring."""
    if inspect.isclass(thing) and "__doc__" not in vars(thing):
        return None
    lines = inspect.cleandoc(thing.__doc__ or "").splitlines()
    code: list[str] = []
    for line in reversed(lines):
        if line and not line.startswith("    "):
            break
        code.insert(0, line)
    return textwrap.dedent("\n".join(code)).strip("\n") or None


PUBLIC = public()
EXAMPLES = {name: code for name, thing in PUBLIC.items() if (code := example_of(thing)) is not None}
ALLOW_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def compiled(code: str, name: str) -> ast.Module:
    """The example as a tree; it must compile, with `await` where a coroutine is meant and `yield` where a stage is."""
    tree = ast.parse(code)
    body = f"async def example():\n{textwrap.indent(code, '    ')}"
    if not any(isinstance(each, ast.Yield) for each in ast.walk(tree)):
        compile(code, name, "exec", flags=ALLOW_AWAIT)
    else:
        compile(body, name, "exec")
    return tree


def test_every_example_compiles() -> None:
    for name, code in EXAMPLES.items():
        compiled(code, name)


def test_examples_are_found_where_they_are_known_to_be() -> None:
    assert {"flow.wait", "flow.wrap", "flow.Merge", "flow.Stage.blocks", "flow.testing.virtual_time"} <= set(EXAMPLES)


def test_every_indented_block_is_at_the_end() -> None:
    """An example in the middle of a docstring would not be run."""
    for name, thing in PUBLIC.items():
        if inspect.isclass(thing) and "__doc__" not in vars(thing):
            continue
        text = inspect.cleandoc(thing.__doc__ or "")
        blocks = re.findall(r"(?:^    .*\n?)+", text, flags=re.MULTILINE)
        inner = [block for block in blocks if not text.endswith(block.rstrip("\n"))]
        end = example_of(thing) or ""
        left = [block for block in inner if textwrap.dedent(block).strip() not in end]
        assert not left, f"{name}: {left}"


def test_examples_are_indented() -> None:
    """Code that is not indented is shown as running text: a line that begins as Python of flow's must be indented."""
    for name, thing in PUBLIC.items():
        if inspect.isclass(thing) and "__doc__" not in vars(thing):
            continue
        for line in inspect.cleandoc(thing.__doc__ or "").splitlines():
            assert not re.match(r"(flow\.\w+\(|def \w+\(|async def |for \w+ in .*:)", line), f"{name}: {line!r}"


# --------------------------------------------------------------------------------------------------------------------
# Running them


def shown_values(code: str) -> dict[int, Any]:
    """What the comments show, by line: a value, or several with commas between."""
    found: dict[int, Any] = {}
    for number, line in enumerate(code.splitlines(), 1):
        _, mark, comment = line.partition(" # ")
        if mark:
            try:
                found[number] = ast.literal_eval(f"[{comment.strip()}]")
            except (SyntaxError, ValueError):
                pass  # a comment in words
    return found


def connect() -> sqlite3.Connection:
    shop = sqlite3.connect(":memory:")
    shop.execute("create table orders (total int)")
    shop.executemany("insert into orders values (?)", [(50,), (150,)])
    return shop


class Shop:
    """In place of the module sqlite3: every database is the same small one."""

    @staticmethod
    def connect(_: str) -> sqlite3.Connection:
        return connect()


async def fetch(url: str) -> str:
    await asyncio.sleep(0.1)
    return f"<{url}>"


def namespace() -> dict[str, Any]:
    return {
        "flow": flow,
        "asyncio": asyncio,
        "itertools": itertools,
        "os": os,
        "partial": partial,
        "sqlite3": Shop,
        "fetch": fetch,
        "clicks": flow.wrap([(1, 1), flow.Cooperate(1), (2, 2)]),
        "ticks": flow.wrap([flow.Cooperate(0.5), "tick"]),
        "rows": flow.wrap([1, 2, 3]),
        "Tracked": Tracked,
        "torture": torture,
        "virtual_time": virtual_time,
        "print": print,
    }


def is_async(statement: ast.stmt) -> bool:
    """Does it await, itself and not in a function that it defines?"""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        todo += ast.iter_child_nodes(node)
    return False


def evaluate(statement: ast.stmt, names: dict[str, Any], runner: Callable[[Any], Any]) -> Any:
    """Runs one statement; gives the value of an expression, and the rows of a stage."""
    if not isinstance(statement, ast.Expr):
        tree: Any = ast.Module([statement], [])
        made = eval(compile(tree, "example", "exec", flags=ALLOW_AWAIT), names)
        if is_async(statement):
            runner(made)
        return NOTHING
    value = eval(compile(ast.Expression(statement.value), "example", "eval", flags=ALLOW_AWAIT), names)
    if is_async(statement):
        value = runner(value)
    if isinstance(value, flow.Stage):
        return [list(value)]
    return [value]


def check(shown: Any, got: Any, statement: ast.stmt) -> None:
    text = ast.unparse(statement)
    if got is NOTHING:
        return
    (value,) = got
    if isinstance(value, list) and shown and not isinstance(shown[0], list):
        assert value == shown, f"`{text}` gives {value!r}, and the comment says {shown!r}"
    else:
        assert [value] == shown, f"`{text}` gives {value!r}, and the comment says {shown!r}"


def run_statements(code: str) -> None:
    names = namespace()
    shown = shown_values(code)
    with virtual_time() as clock:
        for statement in ast.parse(code).body:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                got = evaluate(statement, names, clock.run)
            last = statement.end_lineno or statement.lineno
            if last in shown:
                if printed.getvalue():
                    got = [ast.literal_eval(printed.getvalue())]
                check(shown[last], got, statement)
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                run_definition(names[statement.name])


def run_definition(made: Any) -> None:
    """A stage or an instruction that an example defines works."""
    if inspect.isclass(made) and issubclass(made, flow.CallLater):
        assert list(flow.wrap([made()])) == []
        return
    arguments = list(inspect.signature(made).parameters)
    if not arguments:
        assert list(flow.wrap(made))
    elif arguments[0] in SAMPLES:
        assert list(flow.wrap(SAMPLES[arguments[0]]) | made)


def run_in_a_stage(code: str) -> None:
    names = namespace()
    exec(f"def example():\n{textwrap.indent(code, '    ')}\n    yield 'done'", names)
    with virtual_time():
        assert list(flow.wrap(names["example"]))[-1] == "done"


def run_in_a_process(code: str) -> None:
    program = (
        "import flow\nfrom twisted.internet import reactor\n"
        f"{code}\n"
        "d.addBoth(lambda result: (result is not None and print('failed', result), reactor.stop()))\nreactor.run()\n"
    )
    path = os.pathsep.join(filter(None, [str(SOURCE.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (0, "")
    (shown,) = shown_values(code).values()
    assert [ast.literal_eval(done.stdout)] == shown


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "rows.txt").write_text("one\ntwo\n")
    monkeypatch.chdir(tmp_path)
    yield
    nothing_left()


@pytest.mark.blocking_ok  # joining a thread that has done its work is seen as a blocking call now and then
@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_right(name: str) -> None:
    code = EXAMPLES[name]
    if name in IN_A_PROCESS:
        run_in_a_process(code)
    elif name in IN_A_STAGE:
        run_in_a_stage(code)
    else:
        run_statements(code)


# --------------------------------------------------------------------------------------------------------------------
# That wrong examples are found


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("flow.wrap([1, 2])    # 1, 3", AssertionError),
        ("list(flow.wrap([1]))    # [2]", AssertionError),
        ("print([1])    # [2]", AssertionError),
        ("assert list(flow.wrap([1])) == [2]", AssertionError),
        ("await flow.wrap([1])    # [2]", AssertionError),
        ("flow.no_such_name", AttributeError),
        ("flow.Callback()", Deadlock),
        ("def stage(rows):\n    for row in rows:\n        yield row.no_such_name", AttributeError),
    ],
)
def test_a_wrong_example_is_found(code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run_statements(code)
