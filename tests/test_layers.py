"""The house: imports go one way, no loop is imported unused, and every public name says what it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import flow

SOURCE = Path(flow.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# Who may import whom: errors <- core <- stages <- (loops, offload, io, sql, web, watch) <- (testing, classic).
LAYERS = {"errors": 0, "core": 1, "stages": 2, "loops": 3, "offload": 3, "io": 3, "sql": 3, "watch": 3, "web": 3}
LAYERS |= {"_build": 0, "testing": 4, "classic": 4, "__init__": 5, "__main__": 6}
BESIDE = {("io", "offload"), ("sql", "offload"), ("io", "loops"), ("web", "loops")}
"""On one level, a blocking edge may stand on `offload`: files and queries are read in threads. An edge that belongs to
one loop's library (Twisted's protocols and pages) may stand on that loop."""
LAZY = {
    ("core/forms.py", "stages"): "the short forms (`rows.filter(f)`) are the classes of flow.stages",
    ("core/forms_many.py", "stages"): "the same",
    ("core/forms.py", "watch"): "the same, for `rows.progress()`",
    ("stages/jobs.py", "offload"): "calls in an executor are made by flow.offload, where one is given",
    ("stages/buffer.py", "loops"): "`await put()` asks for the loop that runs the caller, which is nobody's run",
}
"""Imports inside of functions that go the other way, each with its reason."""
ONLY = {
    "trio": {"loops/_trio.py", "testing/trio_time.py"},
    "twisted": {
        "loops/_twisted.py",
        "testing/twisted_time.py",
        "io/twisted_boxes.py",
        "io/twisted_closing.py",
        "io/twisted_link.py",
        "io/twisted_protocol.py",
        "io/twisted_endpoints.py",
        "web/_resource.py",
    },
}


def top(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, at module level?) of each import that runs; those for type checkers only don't."""
    package = ["flow", *path.relative_to(SOURCE).parts[:-1]]
    found = []

    def visit(node: ast.AST, outside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                visit(other, outside)
            return
        if isinstance(node, ast.Import):
            found.extend((each.name, outside) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.extend((f"{module}.{each.name}", outside) for each in node.names)
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, outside and not inside)

    visit(ast.parse(path.read_text()), True)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    """A file imports its own folder and lower ones, nothing above; the exceptions are lazy, and listed."""
    own = top(path)
    assert own in LAYERS, f"{own} has no place in the house: give it one in LAYERS"
    for module, outside in imports(path):
        parts = module.split(".")
        if parts[0] != "flow" or len(parts) < 2:
            continue
        other = parts[1] if parts[1] in LAYERS else "__init__"
        if other == own or LAYERS[other] < LAYERS[own] or (own, other) in BESIDE:
            continue
        lazy = not outside and (str(path.relative_to(SOURCE)), other) in LAZY
        assert lazy, f"{path.relative_to(SOURCE)} imports {module}"


def test_the_exceptions_are_needed() -> None:
    """An exception that nobody uses any more is taken off the list."""
    used = {
        (str(path.relative_to(SOURCE)), module.split(".")[1])
        for path in FILES
        for module, outside in imports(path)
        if not outside and module.startswith("flow.")
    }
    assert set(LAZY) <= used


@pytest.mark.parametrize("library", ONLY)
def test_one_file_a_loop(library: str) -> None:
    """Only the file of a loop imports the loop's library."""
    users = {
        str(path.relative_to(SOURCE))
        for path in FILES
        for module, _ in imports(path)
        if module.split(".")[0] == library
    }
    assert users <= ONLY[library] | {str(path.relative_to(SOURCE)) for path in FILES if top(path) == "classic"}
    assert users


def test_import_flow_imports_no_loop() -> None:
    """``import flow`` imports neither trio nor Twisted, nor anything else that is not used; a script's flow neither."""
    heavy = ["trio", "twisted", "uvloop", "rich", "sqlite3", "anyio", "numpy", "pytest", "hypothesis"]
    code = f"import sys, flow; list(flow.wrap([1, flow.Cooperate(0)])); print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=SOURCE.parent, capture_output=True, text=True, timeout=30, check=True
    )
    assert found.stdout.strip() == "[]"


def public_names() -> list[str]:
    """The names that `flow/__init__.py` hands on as themselves."""
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    return [
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and not alias.asname.startswith("_")
    ]


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_documented(name: str) -> None:
    """Each exported name is there, and has a docstring of its own."""
    if name == "Deferred":
        pytest.importorskip("twisted")
    found = getattr(flow, name)
    assert (found.__doc__ or "").strip()
    if isinstance(found, type):
        assert "__doc__" in vars(found), "the docstring is that of a base class"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_says_what_it_is(path: Path) -> None:
    """Each file begins with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text()))
