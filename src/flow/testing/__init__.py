"""For tests, yours and flow's own: virtual time, marbles, sources and sinks that know what was done to them, torture.

    from flow.testing import Tracked, no_leaks, torture, virtual_time

This folder may import everything of flow; nothing else of flow imports it. It needs no test framework; `plugin.py` is
what pytest finds by itself.
"""

from __future__ import annotations

from ..loops._virtual import Clock as Clock
from ..loops._virtual import Deadlock as Deadlock
from ..loops._virtual import VirtualLoop as VirtualLoop
from .clock import VirtualTime as VirtualTime
from .clock import virtual_time as virtual_time
from .diagrams import marbles as marbles
from .diagrams import timeline as timeline
from .leaks import Leftover as Leftover
from .leaks import no_leaks as no_leaks
from .leaks import nothing_left as nothing_left
from .rack import Injected as Injected
from .torturing import Report as Report
from .torturing import torture as torture
from .tracked import Tracked as Tracked
from .tracked import TrackedSink as TrackedSink
