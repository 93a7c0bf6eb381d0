"""Parses a Python file in pieces, so that no single step takes more than a few milliseconds.

`ast.parse` of a large file takes a tenth of a second and more, and nothing can interrupt it: in a thread it keeps the
interpreter lock, on an event loop it keeps the loop. Here the file is cut where one statement ends and the next begins,
each piece is parsed by itself, and between two pieces the caller's `pause` is called. A class or function that is too
large is cut the same way one level deeper, a large table between two of its elements. What is found is what
`ast.parse` of the whole file finds; tests/examples/test_index_stdlib.py compares the two.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

PIECE = 2000
"""Characters that are parsed at once, if the source has a place to cut it: one or two milliseconds."""


class Definition(NamedTuple):
    """A row: a function or a class of a module."""

    module: str
    name: str
    kind: str
    line: int
    lines: int
    documented: bool


class Line(NamedTuple):
    """A logical line: with all that its brackets, strings and backslashes continue."""

    start: int
    end: int
    indent: int
    number: int
    last: int  # the number of the last physical line


# What decides where a logical line ends. A newline takes the empty lines and comments behind it along.
TOKEN = re.compile(
    r'''("""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|\'\'\'[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*\'\'\''''
    r"""|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'|\\\n|\#[^\n]*)"""
    r"""|([(\[{])|([)\]}])|\n(?:[ \t\f]*(?:\#[^\n]*)?\n)*([ \t\f]*)""",
    re.DOTALL,
)
STRING, OPENING, CLOSING, INDENT = 1, 2, 3, 4
CLAUSE = re.compile(r"\s*(?:else|elif|except|finally)\b")
COMPOUND = re.compile(r"\s*(?:async|class|def|for|if|try|while|with)\b")
DOCSTRING = re.compile(r"\s*[rRuU]?[\"']")

FAILURES = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `ast.parse` may raise for a file that is no Python source."""

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
HAS_BLOCKS: tuple[type[ast.AST], ...] = tuple(
    kind
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and "body" in kind._fields
)


def definitions_whole(module: str, text: str) -> list[Definition]:
    """The functions and classes of a module, parsed in one go."""
    return sorted(found_in(ast.parse(text).body, module, "", 0), key=lambda row: row.line)


def definitions_in_pieces(module: str, text: str, pause: Callable[[], object]) -> list[Definition]:
    """The same, parsed in pieces. Raises one of FAILURES when the text is no Python source."""
    if len(text) <= PIECE:
        return definitions_whole(module, text)
    try:
        cutter = Cutter(module, text, pause)
        cutter.block(cutter.lines(), "")
    except FAILURES:
        return definitions_whole(module, text)  # fails too, unless the cutter did not understand the text
    return sorted(cutter.found, key=lambda row: row.line)


def found_in(nodes: list[Any], module: str, prefix: str, offset: int) -> Iterator[Definition]:
    """The functions and classes in parsed statements, each before those inside it."""
    for node in nodes:
        if not isinstance(node, HAS_BLOCKS):
            continue
        inside = prefix
        if isinstance(node, DEFINITIONS):
            yield definition(node, module, prefix, node.lineno + offset, node.end_lineno + offset)
            inside = f"{prefix}{node.name}."
        for block in BLOCKS:
            if inner := getattr(node, block, None):
                yield from found_in(inner, module, inside, offset)


def definition(node: Any, module: str, prefix: str, first: int, last: int) -> Definition:
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    documented = ast.get_docstring(node, clean=False) is not None
    return Definition(module, prefix + node.name, kind, first, last - first + 1, documented)


class Cutter:
    """Cuts one source text and gathers what it finds."""

    def __init__(self, module: str, text: str, pause: Callable[[], object]) -> None:
        self.module = module
        self.text = f"\n{text}\n"  # now a newline stands before every line: TOKEN needs only one rule
        self.pause = pause
        self.found: list[Definition] = []

    def lines(self) -> list[Line]:
        """The logical lines of the text. One scan by a regular expression: ten times as quick as parsing."""
        lines: list[Line] = []
        text, depth, start, indent, number = self.text, 0, -1, 0, 0
        for count, token in enumerate(TOKEN.finditer(text)):
            if count % 256 == 0:
                self.pause()
            group = token.lastindex
            if group == OPENING:
                depth += 1
            elif group == CLOSING:
                depth -= 1
            elif group == INDENT and depth <= 0:
                depth = 0
                if start >= 0:
                    last = number + text.count("\n", start, token.start())
                    lines.append(Line(start, token.start(), indent, number, last))
                indent = token.end() - token.start(INDENT)
                number = (last if start >= 0 else 0) + text.count("\n", token.start(), token.end())
                start = token.start(INDENT)
        if start < len(text):  # an open bracket: let the parser say what is wrong
            raise SyntaxError("a bracket or a string is not closed")
        return lines

    def block(self, lines: list[Line], prefix: str) -> None:
        """Parses the statements of one block: small ones together, a large one in parts."""
        gathered: list[Line] = []
        for statement in self.statements(lines):
            if gathered and statement[-1].end - gathered[0].start > PIECE:
                self.piece(gathered, prefix)
                gathered = []
            if statement[-1].end - statement[0].start > PIECE:
                self.large(statement, prefix)
            else:
                gathered += statement
        if gathered:
            self.piece(gathered, prefix)

    def statements(self, lines: list[Line]) -> Iterator[list[Line]]:
        """The lines of a block, a list for each statement: decorators and later clauses stay with it."""
        statement: list[Line] = []
        indent, decorated = lines[0].indent if lines else 0, False
        for line in lines:
            if line.indent < indent:
                raise IndentationError(f"line {line.number} fits no block")
            if line.indent == indent:
                if statement and not decorated and not CLAUSE.match(self.text, line.start):
                    yield statement
                    statement = []
                decorated = self.text[line.start + indent] == "@"
            statement.append(line)
        if statement:
            yield statement

    def piece(self, lines: list[Line], prefix: str) -> None:
        indent = lines[0].indent
        nodes = self.parsed(self.text[lines[0].start : lines[-1].end], indent)
        self.found += found_in(nodes, self.module, prefix, lines[0].number - (2 if indent else 1))

    def parsed(self, text: str, indent: int = 0) -> list[Any]:
        """The statements of a text, which may stand at any indent: nothing in it is moved, strings least of all."""
        self.pause()
        if not indent:
            return ast.parse(text).body
        return ast.parse(f"if 1:\n{text}").body[0].body  # type: ignore[attr-defined]

    def large(self, statement: list[Line], prefix: str) -> None:
        """Parses the lines that hold a statement together, with ``pass`` for each body, then the bodies."""
        if len(statement) == 1:
            if COMPOUND.match(self.text, statement[0].start):
                self.piece(statement, prefix)
            else:
                self.table(statement[0])
            return
        indent = statement[0].indent
        skeleton: list[str] = []
        bodies: list[list[Line]] = []
        for line in statement:
            if line.indent == indent:
                skeleton.append(self.text[line.start : line.end])
                bodies.append([])
            else:
                if not bodies[-1]:
                    is_docstring = DOCSTRING.match(self.text, line.start)
                    skeleton.append(self.text[line.start : line.end] if is_docstring else " " * line.indent + "pass")
                bodies[-1].append(line)
        try:
            node = self.parsed("\n".join(skeleton), indent)[0]
        except SyntaxError:  # a `match`, whose body can't be `pass`
            self.piece(statement, prefix)
            return
        if isinstance(node, DEFINITIONS):
            header = next(line for line in statement if self.text[line.start + indent] != "@")
            self.found.append(definition(node, self.module, prefix, header.number, statement[-1].last))
            prefix = f"{prefix}{node.name}."
        for body in bodies:
            self.block(body, prefix)

    def table(self, line: Line) -> None:
        """Parses one huge simple statement, ``name = [...]``, some elements at a time. No definition can be in it."""
        depth = opened = closed = 0
        cuts: list[int] = []
        for count, token in enumerate(TOKEN.finditer(self.text, line.start, line.end)):
            if count % 256 == 0:
                self.pause()
            if token.lastindex == OPENING:
                depth += 1
                if depth == 1:
                    opened, cuts = token.end(), []
            elif token.lastindex == CLOSING:
                depth -= 1
                closed = token.start()
            elif token.lastindex == INDENT and depth == 1:
                far_enough = token.start() - (cuts[-1] if cuts else opened) > PIECE // 2
                if far_enough and self.ends_element(opened, token.start()):
                    cuts.append(token.start())
        if not cuts:
            self.parsed(self.text[line.start : line.end], line.indent)
            return
        self.parsed(self.text[line.start : opened] + self.text[closed : line.end], line.indent)
        left, right = self.text[opened - 1], self.text[closed]
        for start, end in zip([opened, *cuts], [*cuts, closed], strict=True):
            self.parsed(f"{'f' if left == '(' else ''}{left}{self.text[start:end]}\n{right}")

    def ends_element(self, start: int, end: int) -> bool:
        """Does the line that ends here end with a comma (and maybe a comment)?"""
        code = self.text[max(start, self.text.rfind("\n", 0, end) + 1) : end]
        return re.search(r",\s*(?:#[^'\"]*)?$", code) is not None
