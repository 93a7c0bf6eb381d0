"""Pausing and pulling. Knows no loop, clock, thread or socket.

Read in this order: `instruction` (what a chain may hand to its controller), `microthread` (pausing a whole stack),
`pull_cy`, `pass_cy` and `hand_cy` (the hot loops), `run` (what a run owns, and how it is closed), `reader`, `driven`
and `here` (who steps a run: a task, callbacks, a script), `stage` and `reading` (the description, and what iterating
gives), `channel` and `branch` (holding rows, and several inputs), `source` and `wrap` (anything -> stage).
"""
