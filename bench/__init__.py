"""The benchmarks: flow beside bare generators, native async generators and other libraries, in one run.

`python -m bench` (or `make bench`) measures and prints a table. It is no test: no time is asserted, and it ends well
whatever it measures. What is checked is that all contestants of a workload give equal results.

What lives here: `measure` (how a time is taken, and goals), `pieces` (the stages and readers that are measured),
`framing` (bytes), `databases`, `echo` (servers), `peers_pull` and `peers_push` (the ways of other libraries), `jobs`
(what makes a job of them), `work` and `work_*` (the list of workloads, by group), `report` (the table and the JSON),
`memory`, `lateness` and `imports` (what is measured beside rows; `other` says what they give), `charts` (pictures out
of the JSON), `counts` and `paths` (instructions of the hot paths), `machine` (on what it ran), `__main__` (the command
line). `results` has what the book shows. Nothing here imports flow's internals, but for the name of its build: what is
measured is what a user can write.
"""
