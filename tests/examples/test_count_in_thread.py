"""A count in a thread beside one on the reactor."""

from __future__ import annotations

from .running import lines_of


def test_each_counts_in_its_own_thread() -> None:
    """CONTRACT 1, 26: both counts are whole and in order; the blocking one is made in a thread of flow's."""
    *rows, last = lines_of("count_in_thread", "--count", 4, "--pace", 0.01)
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        made, thread = row.split("   made in ")
        kind, number = made.split()
        found.setdefault((kind, thread.partition("(")[0]), []).append(int(number))
    assert found == {("blocking", "flow Threaded"): [1, 2, 3, 4], ("waiting", "MainThread"): [1, 2, 3, 4]}
    assert last == "8 rows, shown in MainThread"
