"""The names of flow.web: imported when they are used, each with an example that is right."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import flow
import flow.web

from .test_asgi import OnAsyncio, Server, piece, scope_of


def printed(code: str) -> str:
    """What a program prints, in a process of its own in which nothing has been imported yet."""
    path = os.pathsep.join(filter(None, [str(Path(flow.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_import_flow_does_not_import_it() -> None:
    """It is an attribute of flow at its first use, and brings only the part that is used."""
    assert printed("import sys, flow; print([each for each in sys.modules if each.startswith('flow.web')])") == "[]"
    code = """
        import sys, flow
        flow.web
        print([each for each in ("flow.web._asgi", "flow.web._resource", "twisted") if each in sys.modules])
        flow.web.App
        print([each for each in ("flow.web._asgi", "flow.web._resource", "twisted") if each in sys.modules])
    """
    assert printed(code) == "[]\n['flow.web._asgi']"
    assert printed("import flow.web; from flow.web import App; print(App is flow.web.App)") == "True"


def test_twisted_is_needed_for_a_resource_only() -> None:
    """Without Twisted the error has the pip command, and an App works."""
    code = """
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "twisted":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Missing())
        import flow.web
        flow.web.App(lambda request: [])
        try:
            flow.web.Resource
        except flow.MissingExtraError as error:
            print(error)
    """
    assert printed(code) == "flow.web.Resource needs Twisted: pip install 'coopflow[twisted]'"


def test_its_names() -> None:
    assert set(flow.web.__all__) <= set(dir(flow.web))
    with pytest.raises(AttributeError, match=r"module 'flow\.web' has no attribute 'Page'"):
        _ = flow.web.Page  # type: ignore[attr-defined, unused-ignore]


def example_of(thing: Any) -> dict[str, Any]:
    """What the example at the end of a docstring defines."""
    names: dict[str, Any] = {"flow": flow}
    text = inspect.cleandoc(thing.__doc__)
    exec(textwrap.dedent(text[text.index("\n    ") :]), names)
    return names


def answer(render: Any, *script: tuple[float, Any]) -> Server:
    server = Server(*script)
    OnAsyncio()(render if isinstance(render, flow.web.App) else flow.web.App(render), server, scope_of(), None)
    return server


def test_the_examples_are_right() -> None:
    assert answer(example_of(flow.web.App)["app"]).body == b"<p>0</p><p>1</p><p>2</p>"
    assert answer(example_of(flow.web.Request)["shout"], (0, piece(b"a", True)), (1, piece(b"b"))).body == b"AB"
    moved = answer(example_of(flow.web.Request.respond)["moved"])
    assert (moved.status, moved.headers[b"location"]) == (301, b"/new")
    assert example_of(flow.web.Headers)["headers"]["Accept"] == "text/html, text/plain"


def test_the_example_of_a_resource_is_right() -> None:
    pytest.importorskip("twisted")
    from .test_resource import OLD, Client, Turns

    clock = Turns()
    example = example_of(flow.web.Resource)
    from ..conformance.drivers import installed

    with installed(clock):
        client = Client(clock, example["root"]).send(OLD).after(2)
        assert client.body == b"<p>0</p><p>1</p><p>2</p>"
    assert b"Cache-Control: no-store" in client.headers


@pytest.mark.parametrize("name", flow.web.__all__)
def test_every_name_is_documented(name: str) -> None:
    if name == "Resource":
        pytest.importorskip("twisted")
    thing = getattr(flow.web, name)
    assert "__doc__" in vars(thing)
    for attribute, value in vars(thing).items():
        inner = value.fget if isinstance(value, property) else getattr(value, "func", value)
        if inspect.isfunction(inner) and not attribute.startswith("_"):
            assert inner.__doc__, attribute
