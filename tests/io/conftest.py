"""What the tests of Twisted's protocols share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.io.wires import WireReactor


@pytest.fixture
def reactor() -> Iterator[WireReactor]:
    """A reactor on a clock, installed as the reactor as long as the test lasts."""
    pytest.importorskip("twisted")
    from tests.conformance.drivers import installed
    from tests.io.wires import WireReactor

    found = WireReactor()
    with installed(found):
        yield found
