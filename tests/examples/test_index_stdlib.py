"""The program of `make demo`: the same rows on every loop, clear words for what is wrong, nothing left behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import warnings
from importlib.util import decode_source
from pathlib import Path

import pytest

from examples._pieces import FAILURES, PIECE, Definition, definitions_in_pieces, definitions_whole

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "index_stdlib.py"
STDLIB = Path(sysconfig.get_path("stdlib"))
LOOPS = ["asyncio", "trio", "twisted", "script"]
WAYS = [[f"--loop={name}"] for name in LOOPS] + [["--blocking"]]

ONE = '''"""A module."""

def first():
    """With a docstring."""

    def inner(): pass

class Thing(object):
    async def method(self):
        return 1
'''


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", str(PROGRAM), *map(str, arguments)]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "COLUMNS": "200"}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=50, check=False
    )


def rows_in(database: Path) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    try:
        return sorted(connection.execute("SELECT * FROM definitions"))
    finally:
        connection.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package, a module that takes many batches, one that is a megabyte, one that is no Python, one in Latin-1."""
    made = tmp_path / "tree"
    (made / "package").mkdir(parents=True)
    (made / "package" / "__init__.py").write_text(ONE)
    (made / "package" / "many.py").write_text("".join(f"def f{number}():\n    return 1\n\n\n" for number in range(700)))
    (made / "package" / "large.py").write_text("TEXT = '''" + "x" * 79 + ("\n" + "y" * 79) * 12_000 + "'''\n" + ONE)
    (made / "bad.py").write_text("def broken(:\n    pass\n")
    (made / "latin.py").write_bytes(b"# coding: latin-1\ndef gr\xfcn(): pass\n")
    (made / "notes.txt").write_text("def no(): pass")
    return made


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
def test_the_same_rows_on_every_loop(tree: Path, tmp_path: Path, way: list[str]) -> None:
    database = tmp_path / "index.db"
    done = run("--tree", tree, "--db", database, *way)
    assert (done.returncode, done.stderr) == (0, "")
    rows = rows_in(database)
    assert len(rows) == 700 + 4 + 4 + 1
    assert ("latin", "grün", "function", 2, 1, 0) in rows
    assert [row for row in rows if row[0] == "package"] == [
        ("package", "Thing", "class", 8, 3, 0),
        ("package", "Thing.method", "function", 9, 2, 0),
        ("package", "first", "function", 3, 4, 1),
        ("package", "first.inner", "function", 6, 1, 0),
    ]
    assert "709 rows from 4 files" in done.stdout
    assert "no Python: 1" in done.stdout
    assert "package.first" in done.stdout
    assert ("late by" in done.stdout) == (way[0] in ("--loop=asyncio", "--loop=trio", "--loop=twisted"))
    assert "\x1b" not in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.db", "tree"]


def test_without_a_name_the_database_is_temporary(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        command("--tree", tree),
        capture_output=True,
        text=True,
        env=environment() | {"TMPDIR": str(tmp_path / "temporary")},
        cwd=tmp_path,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_older_database_is_replaced(tree: Path, tmp_path: Path) -> None:
    database = tmp_path / "index.db"
    for _ in range(2):
        assert run("--tree", tree, "--db", database).returncode == 0
        assert len(rows_in(database)) == 709


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--loop", "gevent"], "invalid choice: 'gevent'"),
        (["--what"], "unrecognized arguments: --what"),
        (["--tree", "nowhere"], "there is no folder nowhere"),
        (["--tree", "empty"], "there is no .py file in empty"),
        (["--tree", "tree", "--db", "nowhere/index.db"], "can't write the database nowhere/index.db"),
        (["--tree", "tree", "--db", "empty"], "can't write the database empty"),
        (["--tree", "tree", "--db", "tree/notes.txt"], "is no SQLite database"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(tree: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=50, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe, to know when the program is at work")
@pytest.mark.parametrize("name", ["0.py", "1.py"])  # the first file comes from the disk, the second from the server
@pytest.mark.parametrize("loop", LOOPS)
def test_an_interrupt_leaves_nothing(tree: Path, tmp_path: Path, loop: str, name: str) -> None:
    for other in ("0.py", "1.py"):
        (tree / other).write_text(ONE)
    (tree / name).unlink()
    os.mkfifo(tree / name)
    with subprocess.Popen(
        command("--tree", tree, "--db", tmp_path / "index.db", "--loop", loop),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        with (tree / name).open("wb"):  # waits for the program to open it, too
            process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=50)
    assert process.returncode == 130
    assert errors == "index_stdlib: interrupted\n"
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


# --------------------------------------------------------------------------------------------------------------------
# Parsing in pieces


def both(text: str) -> tuple[list[Definition] | None, list[Definition] | None]:
    found: list[list[Definition] | None] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parse in (lambda: definitions_whole("m", text), lambda: definitions_in_pieces("m", text, lambda: None)):
            try:
                found.append(parse())
            except FAILURES:
                found.append(None)
    return found[0], found[1]


SAMPLE = [
    *("argparse.py", "ast.py", "locale.py", "ntpath.py", "pickletools.py", "typing.py", "turtle.py", "stringprep.py"),
    *("asyncio/base_events.py", "email/_header_value_parser.py", "encodings/aliases.py", "html/entities.py"),
    *("idlelib/editor.py", "json/decoder.py", "pydoc_data/topics.py", "re/_parser.py", "unittest/mock.py"),
]


@pytest.mark.parametrize("name", SAMPLE)
def test_pieces_give_what_the_whole_gives(name: str) -> None:
    if not (STDLIB / name).is_file():
        pytest.skip("this Python has no such file")
    whole, pieces = both(decode_source((STDLIB / name).read_bytes()))
    assert whole is not None
    assert pieces == whole


@pytest.mark.skipif("FLOW_SLOW" not in os.environ, reason="takes a minute: set FLOW_SLOW=1")
@pytest.mark.timeout(300)
def test_pieces_give_what_the_whole_gives_for_the_whole_library() -> None:
    for path in sorted(STDLIB.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            text = decode_source(path.read_bytes())
        except (SyntaxError, UnicodeDecodeError):
            continue
        whole, pieces = both(text)
        assert pieces == whole, path


FILLER = "\n".join(f"    x = [{number}]" for number in range(300)) + "\n"

TRICKY = {
    "strings that look like code": "def f():\n" + FILLER + '    s = """\ndef no(): pass\nclass No:\n"""\n' + FILLER,
    "decorators": "@a\n@b(\n1)\n# between\n\ndef f():\n"
    + FILLER
    + "@c\nclass C:\n    @d\n    def g(self):\n    "
    + FILLER[4:],
    "clauses": "try:\n    def f(): 1\n"
    + FILLER
    + "except A:\n    def g(): 1\n"
    + FILLER
    + "else:\n    pass\nfinally:\n    def h(): 1\n",
    "match": "match x:\n    case 1:\n        def f(): 1\n"
    + FILLER.replace("    x", "        x")
    + "    case _:\n        pass\n",
    "continued": "def f(a,\n b=(\n1)):\n" + FILLER + "    y = 1 + \\\n2\n" + FILLER + "def g(): pass",
    "on one line": "def f(): return '''" + "\n" * PIECE + "'''\nclass C: pass\n",
    "docstrings": 'class C:\n    r"""It\'s\n\none."""\n    def f(self):\n        b"none"\n'
    + FILLER.replace("    x", "        x"),
    "tables": "T = {\n"
    + "".join(f"    {number}: (lambda: {number}),  # {number}\n" for number in range(500))
    + "}\ndef f(): pass\n",
    "calls": "f(1,\n" + "".join(f"  {number},\n" for number in range(1000)) + "  key=2)\nasync def f(): await g()\n",
    "tabs and returns": "class C:\r\n\tdef f(self):\r\n" + "\t\tx = 1\r\n" * 300 + "\tdef g(self): pass\r\n",
    "an open bracket": "def f():\n" + FILLER + "x = (\n",
    "an open string": "def f():\n" + FILLER + "x = '''\n",
    "a wrong indent": "class C:\n        def f(self): pass\n" + FILLER + "    def g(self): pass\n",
    "a late error": "def f():\n" + FILLER + "x = = 1\n",
    "an error in a table": "T = [\n" + "    1,\n" * 1000 + "    = 2,\n]\n",
    "a clause alone": "def f():\n" + FILLER + "else:\n    pass\n",
    "a null byte": "def f():\n" + FILLER + "\0\n",
    "nothing": "\n" * (2 * PIECE),
}


@pytest.mark.parametrize("text", TRICKY.values(), ids=TRICKY)
def test_tricky_sources(text: str) -> None:
    assert len(text) > PIECE
    whole, pieces = both(text)
    assert pieces == whole


def test_no_step_parses_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large class with large methods, and of a large table."""
    import ast

    sizes: list[int] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: sizes.append(len(text)) or parse(text))
    methods = "".join(f"    def f{number}(self):\n" + FILLER.replace("    x", "        x") for number in range(20))
    table = "T = [\n" + "    (1, 2),\n" * 5000 + "]\n"
    assert len(definitions_in_pieces("m", "class C:\n" + methods + table, lambda: None)) == 21
    assert max(sizes) < 1.1 * PIECE
