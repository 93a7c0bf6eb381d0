"""What compiling could change in `core/pull_cy.py`, tried on the build that runs and on the same file as it is.

The pitfalls are those of Cython's generators and of greenlets that move a C stack: each test here is one of them.
"""

from __future__ import annotations

import gc
import sys
import traceback
import weakref
from collections.abc import Callable, Generator, Iterator
from importlib.util import module_from_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from greenlet import getcurrent, greenlet

import flow
from flow import _build
from flow.core import pass_cy, pull_cy


def as_it_is(name: str) -> ModuleType:
    """The file, and not what it was compiled to, as its own modules see it."""
    spec = _build.Sources().find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def as_they_are() -> tuple[ModuleType, ModuleType]:
    """Both files, beside the modules that run: the second imports the first."""
    running = {name: sys.modules[name] for name in _build.MODULES}
    try:
        return as_it_is("flow.core.pull_cy"), as_it_is("flow.core.pass_cy")
    finally:
        sys.modules.update(running)


def obeyed(pull: Any, *arguments: Any) -> Any:
    return pull.obeyed(*arguments, None)  # without turns


def both(pulling: ModuleType, passing: ModuleType) -> Any:
    return SimpleNamespace(**{**vars(passing), **vars(pulling)})


BUILDS = {
    "installed": both(pull_cy, pass_cy),
    "as it is": both(*as_they_are()),
}


@pytest.fixture(params=BUILDS)
def pull(request: pytest.FixtureRequest) -> Any:
    return BUILDS[request.param]


# ---------------------------------------------------------------------------------------------------------------------
# Each function of the module, with a hook wherever it calls out


class Hooked:
    """An iterator that calls out before each row."""

    def __init__(self, rows: list[Any], hook: Callable[[], object]) -> None:
        self.rows = iter(rows)
        self.hook = hook

    def __iter__(self) -> Hooked:
        return self

    def __next__(self) -> Any:
        self.hook()
        return next(self.rows)


def strand(hook: Callable[[], object]) -> Any:
    """What `pull_cy` knows of a strand. Each look at its clock calls out; a turn is always due."""

    def clock() -> float:
        hook()
        return 1.0

    return SimpleNamespace(
        owner=SimpleNamespace(slice=0.005, deadline=0.5), loop=SimpleNamespace(clock=clock), give_turn=hook
    )


class Odd:
    """A row to be asked about."""


def generated(rows: list[Any], hook: Callable[[], object]) -> Generator[Any, Any, None]:
    for row in rows:
        hook()
        answer = yield row
        hook()
        assert answer is None or answer == "answer"


def classified(hook: Callable[[], object]) -> Callable[[Any], Any]:
    def obey(row: Any) -> tuple[bool, Any]:
        hook()
        if row is ...:
            return False, "answer"
        if isinstance(row, Exception):
            raise row
        return True, row

    def classify(row: Any) -> Any:
        hook()
        return None if isinstance(row, Odd) else obey

    return classify


def obey_in_list(hook: Callable[[], object]) -> Callable[[Any], Any]:
    def obey(row: Any) -> Any:
        hook()
        return row

    return obey


def holds_no_instruction(hook: Callable[[], object]) -> Callable[[set[type]], bool]:
    def is_plain(types: set[type]) -> bool:
        hook()
        return len(types) == 1

    return is_plain


ROWS = [1, 2, "three", *range(20)]
Hook = Callable[[], object]
WAYS: dict[str, Callable[[Any, Hook], Iterator[Any]]] = {
    "pieces of a generator": lambda pull, hook: pull.fair(generated(ROWS, hook), strand(hook)),
    "pieces of an iterator": lambda pull, hook: pull.fair(Hooked(ROWS, hook), strand(hook)),
    "listed": lambda pull, hook: pull.listed(ROWS, strand(hook), holds_no_instruction(hook), obey_in_list(hook)),
    "obeyed": lambda pull, hook: obeyed(pull, generated([*ROWS, (), ..., ...], hook), {int}, classified(hook)),
}
EXPECTED = {name: [*ROWS, ()] if name == "obeyed" else ROWS for name in WAYS}
ways = pytest.mark.parametrize("way", WAYS)


@ways
def test_each_function_gives_the_rows(pull: Any, way: str) -> None:
    """Without any pause, and each calls out more often than it has rows."""
    calls: list[None] = []
    assert list(WAYS[way](pull, lambda: calls.append(None))) == EXPECTED[way]
    assert len(calls) > len(ROWS)


# ---------------------------------------------------------------------------------------------------------------------
# Greenlets: the C stack below a compiled function is moved aside, and back


def stepped(threads: list[greenlet]) -> None:
    """Steps micro-threads in turn until all have ended."""
    while threads:
        threads = [each for each in threads if each.switch() is not None or not each.dead]


def pause() -> None:
    assert getcurrent().parent is not None
    getcurrent().parent.switch("paused")


@ways
def test_paused_at_each_call(pull: Any, way: str) -> None:
    """CONTRACT 2: paused at each call that it makes, between steps of others like it, each gives all of its rows."""
    found: list[list[Any]] = [[] for _ in range(5)]

    def read(rows: list[Any]) -> None:
        rows.extend(WAYS[way](pull, pause))

    threads = [greenlet(lambda rows=rows: read(rows)) for rows in found]  # type: ignore[misc]
    stepped(threads)
    assert found == [EXPECTED[way]] * 5


@ways
def test_exceptions_in_flight_stay_with_their_greenlet(pull: Any, way: str) -> None:
    """CONTRACT 9: what is being handled on one side of a switch is not seen on the other, and goes on being handled."""
    seen: list[Any] = []

    def hook() -> None:
        inside = sys.exception()
        pause()
        seen.append((inside, sys.exception()))

    def read(name: str) -> None:
        try:
            raise KeyError(name)
        except KeyError as error:
            before = len(seen)
            for _ in WAYS[way](pull, hook):
                assert sys.exception() is error
            assert sys.exception() is error
            assert len(seen) > before

    threads = [greenlet(lambda name=name: read(name)) for name in ("one", "two")]  # type: ignore[misc]
    try:
        raise ValueError("of the hub")
    except ValueError as error:
        while threads:
            for each in threads:
                each.switch()
                assert sys.exception() is error
            threads = [each for each in threads if not each.dead]
        assert sys.exception() is error
    assert sys.exception() is None
    assert {repr(error) for pair in seen for error in pair} == {"KeyError('one')", "KeyError('two')"}
    assert all(inside is after for inside, after in seen)


@ways
def test_thrown_at_each_pause(pull: Any, way: str) -> None:
    """CONTRACT 14, 15: an exception thrown at any pause passes through, as itself."""
    for count in range(1, 200):
        thread = greenlet(lambda: list(WAYS[way](pull, pause)))
        for _ in range(count):
            thread.switch()
        if thread.dead:
            return
        error = KeyError(count)
        with pytest.raises(KeyError) as caught:
            while not thread.dead:  # obeyed throws it into the generator, which pauses once more
                thread.throw(error)
        assert caught.value is error
    raise AssertionError("it never ended")


@ways
@pytest.mark.parametrize("pauses", [1, 2, 7, 20])
def test_dropped_while_paused(pull: Any, way: str, pauses: int) -> None:
    """CONTRACT 14, 24: the last reference to a paused micro-thread is dropped: all of it ends there and then."""
    ended: list[str] = []

    class Witness:
        pass

    def read(witness: Witness) -> None:
        try:
            for _ in WAYS[way](pull, pause):
                pass
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    witness = Witness()
    gone = weakref.ref(witness)
    thread = greenlet(read)
    thread.switch(witness)
    for _ in range(pauses - 1):
        thread.switch()
    del witness, thread
    assert ended == ["GreenletExit"]
    assert gone() is None


# ---------------------------------------------------------------------------------------------------------------------
# Generators


SCRIPTS: list[list[tuple[str, Any]]] = [
    [("next", None), ("close", None), ("next", None), ("close", None)],
    [("close", None), ("next", None)],
    [("next", None), ("throw", KeyError("thrown")), ("next", None)],
    [("throw", KeyError("thrown")), ("next", None)],
    [("next", None), ("throw", GeneratorExit()), ("next", None)],
    [("next", None), ("throw", StopIteration(7)), ("next", None)],
    [("send", None), ("send", 5), ("send", 5)],
    [("send", 5)],
    [("next", None)] * 50,
]


def log_of(rows: Any, script: list[tuple[str, Any]]) -> list[str]:
    log = []
    for name, argument in script:
        try:
            done = getattr(rows, "__next__" if name == "next" else name)(
                *() if argument is None and name != "send" else (argument,)
            )
            log.append(f"{name}: {done!r}" if not hasattr(done, "__next__") else f"{name}: {list(done)}")
        except BaseException as error:
            log.append(f"{name}: {type(error).__name__}{error.args} from {error.__cause__!r}")
    return log


GENERATORS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "_pieces": lambda pull: pull.pieces(generated(ROWS, int), strand(int), 63),
    "_pieces_watched": lambda pull: pull.pieces(Hooked(ROWS, int), strand(int), 63),
    "_listed": lambda pull: pull._listed(ROWS, strand(int), holds_no_instruction(int), obey_in_list(int)),
    "_each": lambda pull: pull._each(ROWS, obey_in_list(int)),
}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: " ".join(name for name, _ in script[:4]))
def test_next_send_throw_close(name: str, script: list[tuple[str, Any]]) -> None:
    """CONTRACT 14, 17, 19: a compiled generator answers next, send, throw and close as one of Python does."""
    assert log_of(GENERATORS[name](BUILDS["installed"]), script) == log_of(GENERATORS[name](BUILDS["as it is"]), script)


@pytest.mark.parametrize("name", GENERATORS)
def test_it_is_a_generator_to_collections_abc(pull: Any, name: str) -> None:
    """inspect.isgenerator does not know a compiled generator, so flow asks the ABC, which does."""
    rows = GENERATORS[name](pull)
    assert isinstance(rows, Generator)
    rows.close()


@pytest.mark.parametrize("name", ["_listed", "_each"])
def test_flow_wraps_a_compiled_generator(pull: Any, name: str) -> None:
    """CONTRACT 7: it is a classic source that can be read once, in both builds."""
    stage = flow.wrap(GENERATORS[name](pull))
    assert len(list(stage)) > 5
    with pytest.raises(flow.AlreadyReadError):
        list(stage)


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_are_not_watched(pull: Any, name: str) -> None:
    """A generator, the user's or one of the core, may be asked again after its end: it takes the short way."""
    assert type(GENERATORS[name](pull)) in pull.STAY_ENDED
    assert type(generated([], int)) in pull.STAY_ENDED
    assert pull.Obeyed in pull.STAY_ENDED
    assert type(Hooked([], int)) not in pull.STAY_ENDED


def asking_itself(rows: list[Any]) -> Generator[Any]:
    yield 1
    yield next(rows[0])


def test_asked_while_it_runs(pull: Any) -> None:
    """CONTRACT 13: a generator that asks itself for a row raises, and does not crash."""
    held: list[Any] = []
    held.append(obeyed(pull, asking_itself(held), {int}, classified(int)))
    assert next(held[0]) == 1
    with pytest.raises(ValueError, match="generator already executing"):
        next(held[0])


def test_an_escaping_stop_iteration_is_an_error(pull: Any) -> None:
    """CONTRACT 19: wherever a function of the user's is called, StopIteration is a RuntimeError, not a silent end."""

    def stop(*_: Any) -> Any:
        raise StopIteration(1)

    def told(row: Any) -> Any:
        return stop

    def stopping() -> Iterator[Any]:
        yield "row"
        raise StopIteration(2)

    stopped = strand(int)
    stopped.give_turn = stop
    for rows in (
        obeyed(pull, generated(["row"], int), {int}, stop),
        obeyed(pull, stopping(), {int, str}, classified(int)),
        obeyed(pull, stopping(), {int}, lambda row: None),
        pull.fair(iter([1, 2]), stopped),
        pull.fair(Hooked([1, 2], int), stopped),
        pull.listed([1, "2"], None, stop, stop),
        pull.listed([1, "2"], None, lambda types: False, stop),
    ):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            list(rows)
    # An instruction is a wait of the generator's own, and it is the generator that is told how it failed.
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(obeyed(pull, generated(["row"], int), {int}, told))


def test_a_generator_of_ones_own(pull: Any) -> None:
    """CONTRACT 9: `send` of a Generator that is a class is called, with what it should be."""

    class Own(Generator[Any, Any, Any]):
        def __init__(self) -> None:
            self.sent: list[Any] = []

        def send(self, value: Any) -> Any:
            self.sent.append(value)
            if len(self.sent) > 3:
                raise StopIteration("the value of the end")
            return ...

        def throw(self, *error: Any) -> Any:
            raise error[0]

    own = Own()
    assert list(obeyed(pull, own, {int}, classified(int))) == []
    assert own.sent == [None, "answer", "answer", "answer"]


def test_a_failing_send_raises_itself(pull: Any) -> None:
    """CONTRACT 17: type, instance, traceback; the frames of the user's code are in it, in both builds."""
    failure = LookupError("x")

    def inner() -> None:
        raise failure

    def users_generator() -> Iterator[Any]:
        yield ...
        inner()

    with pytest.raises(LookupError) as caught:
        list(obeyed(pull, users_generator(), {int}, classified(int)))
    assert caught.value is failure
    frames = [each.name for each in traceback.extract_tb(failure.__traceback__) if each.filename == __file__]
    assert frames == ["test_a_failing_send_raises_itself", "users_generator", "inner"]
    if pull.BUILT_FROM:
        names = [each.name for each in traceback.extract_tb(failure.__traceback__)]
        assert any("Obeyed" in name for name in names), "a compiled function shows in a traceback, too"


def test_annotations_are_not_checked(pull: Any) -> None:
    """The rows of a subclass, of a proxy, of whatever has the methods: what an annotation says is not asked."""

    class Rows:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, which: slice) -> list[int]:
            return [1, True, 3][which]

    found = list(pull.listed(Rows(), None, lambda types: True, int))
    assert found == [1, True, 3]
    assert type(found[1]) is bool
    assert list(pull.fair(iter([True, 1.5]), strand(int), 2)) == [True, 1.5]


# ---------------------------------------------------------------------------------------------------------------------
# References


@ways
def test_counts_of_references_stay(pull: Any, way: str) -> None:
    """CONTRACT 24: whole, broken off, thrown into and dropped while paused: nothing is left, nothing goes too early."""
    watched = [*ROWS, None, ..., "answer", pull.OBEYED, pull_cy.Ending, Odd]

    def use() -> None:
        assert list(WAYS[way](pull, int)) == EXPECTED[way]
        rows = WAYS[way](pull, int)
        next(rows)
        del rows
        thread = greenlet(lambda: list(WAYS[way](pull, pause)))
        thread.switch()
        thread.switch()
        with pytest.raises(KeyError):
            thread.throw(KeyError)
        thread = greenlet(lambda: list(WAYS[way](pull, pause)))
        thread.switch()
        del thread

    for _ in range(3):
        use()
    gc.collect()
    before, objects = [sys.getrefcount(each) for each in watched], len(gc.get_objects())
    for _ in range(200):
        use()
    gc.collect()
    after = [sys.getrefcount(each) for each in watched]
    # Small numbers, None and ... are held by whoever runs beside this (the interpreter's own caches among them).
    assert all(abs(new - old) < 50 for new, old in zip(after, before, strict=True)), (before, after)
    assert abs(len(gc.get_objects()) - objects) < 50


def test_rows_are_let_go(pull: Any) -> None:
    """CONTRACT 20: a row that was handed on is held until the next one is asked for, at most; the end holds none."""

    class Row:
        pass

    def made() -> Iterator[Any]:
        for _ in range(3):
            yield Row()

    class Made(Hooked):
        def __init__(self) -> None:
            super().__init__([1, 2, 3], int)

        def __next__(self) -> Any:
            super().__next__()
            return Row()

    for open_rows in (
        lambda: obeyed(pull, made(), {Row}, classified(int)),
        lambda: pull.fair(made(), strand(int)),
        lambda: pull.fair(Made(), strand(int)),
    ):
        rows = open_rows()
        gone = [weakref.ref(next(rows)) for _ in range(3)]
        assert [each() for each in gone[:2]] == [None, None]
        assert next(rows, None) is None
        assert gone[2]() is None


def handed_on(rows: Any) -> Generator[Any]:
    for row in rows:  # noqa: UP028 - a stage of a user's has a frame of its own
        yield row


@pytest.mark.parametrize("depth", [100, 20_000])
@pytest.mark.parametrize("in_a_greenlet", [False, True])
def test_generators_in_generators(pull: Any, depth: int, in_a_greenlet: bool) -> None:
    """CONTRACT 23: generators nested too deep work or raise RecursionError, in a greenlet as elsewhere; no crash."""
    opened: list[Any] = []

    def nested() -> Any:
        rows: Any = generated([1, 2], int)
        for _ in range(depth):
            rows = obeyed(pull, handed_on(rows), {int}, classified(int))
            opened.append(rows)  # as a Scope does: one is freed after the other, and not each by the one below it
        try:
            return list(rows)
        except RecursionError:
            return "too deep"

    found = greenlet(nested).switch() if in_a_greenlet else nested()
    assert found == [1, 2] or (found == "too deep" and depth > 100)
    while opened:
        opened.pop()
