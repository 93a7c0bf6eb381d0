"""The page of random numbers, in two real browsers at once, on both servers."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .running import LONGEST, command, environment, run, started

pytest.importorskip("twisted")

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
SERVERS = ["twisted", pytest.param("asgi", id="asgi")]


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[str, Callable[[], str]]]:
    """The address of the page, and what gives the next line that the program says."""
    with started("random_numbers", r"(http://127\.0\.0\.1:\d+/)\n", "--port", 0, *arguments) as found:
        yield found.said[1], found.line


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """A Chromium without a window. It does not wait for a page to be whole, and reaches nothing but this machine."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.page_load_strategy = "none"
    for each in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--no-first-run", "--no-proxy-server", "--disable-background-networking", "--disable-component-update"),
        *("--window-size=660,700", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
        f"--user-data-dir={profile}",
    ):
        options.add_argument(each)
    with webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER))) as driver:
        yield driver


def numbers_in(driver: Any) -> list[str]:
    found: list[str] = driver.execute_script(
        "return Array.from(document.querySelectorAll('li b')).map(each => each.textContent)"
    )
    return found


def is_loading(driver: Any) -> bool:
    """Does the browser still wait for the rest of the page?"""
    return bool(driver.execute_script("return document.readyState") == "loading")


def until(driver: Any, condition: Callable[[Any], Any]) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(driver, LONGEST, poll_frequency=0.02).until(condition)


def colours_in(png: bytes) -> set[bytes]:
    """The colours of a picture, as Chromium writes it: eight bits a channel, not interlaced."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (depth, interlaced) == (8, 0)
    assert kind in (2, 6)
    channels = 3 if kind == 2 else 4
    packed, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += length + 12
    flat, stride = zlib.decompress(packed), width * channels
    above, found = bytearray(stride), set[bytes]()
    for row in range(height):
        line = bytearray(flat[row * (stride + 1) + 1 : (row + 1) * (stride + 1)])
        filtered = flat[row * (stride + 1)]
        for place in range(stride):
            left = line[place - channels] if place >= channels else 0
            corner = above[place - channels] if place >= channels else 0
            if filtered == 4:
                guess = left + above[place] - corner
                nearest = min((left, above[place], corner), key=lambda each: abs(guess - each))
            else:
                nearest = (0, left, above[place], (left + above[place]) // 2)[filtered]
            line[place] = (line[place] + nearest) & 255
        above = line
        found.update(bytes(line[place : place + channels]) for place in range(0, stride, channels))
    return found


@pytest.mark.skipif(not (CHROMIUM.exists() and DRIVER.exists()), reason=f"needs {CHROMIUM} and {DRIVER}")
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", SERVERS)
def test_two_browsers_at_once(tmp_path: Path, server: str) -> None:
    """CONTRACT 5, 8, 14: two pages are made at the same time; each number is seen before the page is whole."""
    pytest.importorskip("selenium")
    if server == "asgi":
        pytest.importorskip("uvicorn")
    with serving("--server", server, "--count", 400, "--pace", 0.5) as (address, said):
        with ExitStack() as stack:
            both = [stack.enter_context(browser(tmp_path / name)) for name in ("one", "two")]
            for driver in both:
                driver.get(address)
            before = [
                until(driver, lambda driver: len(numbers_in(driver)) >= 12 and numbers_in(driver)) for driver in both
            ]
            after = [
                until(driver, lambda driver, seen=seen: len(numbers_in(driver)) > len(seen) and numbers_in(driver))
                for driver, seen in zip(both, before, strict=True)
            ]
            # In between both had more, and both are still waiting for the rest.
            assert [is_loading(driver) for driver in both] == [True, True]
            for earlier, later in zip(before, after, strict=True):
                assert later[: len(earlier)] == earlier
                assert all(re.fullmatch(r"\d{5}", each) for each in later)
            assert before[0] != before[1]  # each page has numbers of its own
            assert sorted([said(), said()]) == ["page 1: begun, beside 0\n", "page 2: begun, beside 1\n"]
            for driver, name in zip(both, ("one", "two"), strict=True):
                picture = tmp_path / f"{name}.png"
                assert driver.save_screenshot(str(picture))
                octets = picture.read_bytes()
                assert struct.unpack(">II", octets[16:24]) >= (400, 300)
                assert len(colours_in(octets)) > 30  # letters have edges of many greys; a blank page has one colour
        assert sorted([said(), said()]) == [f"page {number}: its browser has left\n" for number in (1, 2)]

        with browser(tmp_path / "three") as driver:
            driver.get(f"{address}?count=4")
            until(driver, lambda driver: driver.execute_script("return document.readyState") == "complete")
            assert len(numbers_in(driver)) == 4
            assert "This page is whole: 4 numbers" in driver.find_element("tag name", "footer").text
            assert (said(), said()) == ("page 3: begun, beside 0\n", "page 3: whole\n")


def get(address: str, target: str = "") -> str:
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), LONGEST) as sock:
        sock.sendall(f"GET /{target} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65_536), b"")).decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process alone")
@pytest.mark.parametrize("server", SERVERS)
def test_what_may_be_asked_for(server: str) -> None:
    if server == "asgi":
        pytest.importorskip("uvicorn")
    with serving("--server", server, "--count", 3, "--pace", 0) as (address, _):
        for target, found in {
            "": 3,
            "?count=5": 5,
            "?count=0": 3,
            "?count=501": 3,
            "?count=x": 3,
            "?count=": 3,
        }.items():
            assert get(address, target).count("<li>") == found, target
        missing = get(address, "favicon.ico")
        assert re.match(r"HTTP/1\.\d 404", missing)
        assert "one page here" in missing


@pytest.mark.parametrize("server", SERVERS)
def test_it_ends_by_itself(server: str) -> None:
    """CONTRACT 14: after `--for` it ends, though a page is still being made; that one is closed."""
    if server == "asgi":
        pytest.importorskip("uvicorn")
    with subprocess.Popen(
        command("random_numbers", "--server", server, "--port", 0, "--for", 1, "--pace", 60),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), LONGEST) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            out, errors = process.communicate(timeout=LONGEST)
        assert (process.returncode, errors) == (0, "")
        assert out.splitlines() == ["page 1: begun, beside 0", "page 1: its browser has left"]


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("random_numbers", "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert re.fullmatch(r"random_numbers: can't listen on port \d+: .*in use.*\n", done.stderr)
    assert os.linesep not in done.stdout
