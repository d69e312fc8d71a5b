"""Benches in Python: what a token or a request costs a client, beside the clients that people have.

`python -m benches` runs them (`make bench`). The replay server and each peer run in a process of their own, so that the
CPU time of a process is the CPU time of one client and nothing else. Peers take turns within each round, because a
shared machine drifts; ratios are taken within a round.

* `script`: what the replay server says, byte for byte, and so what each answer must be.
* `replay`: the server.
* `peers`: the clients that are compared, one table.
* `cases`: the types of a measurement.
* `worker`: the process that holds one peer and runs cases when told; `metagpt_preload`: what is imported before those
  that need MetaGPT are forked.
* `bursts`, `throttled`, `short`, `busy`, `long_answers`, `memory`, `embeddings`, `decode`, `imports`: a family of cases
  each; `families` lists them.
* `processes`: starts and stops all these.
* `results`: medians, ratios with their spread, the JSON file.
* `tables`, `figures`, `report`: from the JSON file to docs/performance.md (`make bench-report`).

Two benches count what works, and have commands of their own: `structured` (`make bench-structured`, answers that parse)
and `metagpt_runs` (`make bench-metagpt`, how far MetaGPT's own programs get), with `metagpt_scenarios`,
`metagpt_examples`, `metagpt_models`, `wrong_shapes`, `metagpt_worker` and `metagpt_report`.

A new measurement is a new module with the same names as `short`, entered in `families`:

* `TITLE`, `UNIT` (what costs are divided by), `COLUMNS` of `tables`, `FIGURES`; its docstring stands in the report;
* `cases(size)`, and `prepare` (before the clocks start) and `run`, which a worker calls with its peer and the
  parameters of the case; or `run_here`, which the coordinator calls. `FRESH` asks for a new worker for each sample.

What the core costs without Python is measured by `wire.rs` (criterion) and counted by `instructions` (valgrind).
"""
