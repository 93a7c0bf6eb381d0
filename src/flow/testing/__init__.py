"""For tests, yours and flow's own: virtual time, sources that know whether they were closed, and torture.

    from flow.testing import Tracked, torture, virtual_time

This folder may import everything of flow; nothing else of flow imports it.
"""

from __future__ import annotations

from ..loops._virtual import Clock as Clock
from ..loops._virtual import Deadlock as Deadlock
from ..loops._virtual import VirtualLoop as VirtualLoop
from .clock import VirtualTime as VirtualTime
from .clock import virtual_time as virtual_time
from .torturing import Injected as Injected
from .torturing import Report as Report
from .torturing import torture as torture
from .tracked import Leftover as Leftover
from .tracked import Tracked as Tracked
from .tracked import nothing_left as nothing_left
