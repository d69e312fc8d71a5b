"""Benches in Python: what a token or a request costs a client, beside the clients that people have.

`python -m benches` runs them (`make bench`). The replay server and each peer run in a process of their own, so that the
CPU time of a process is the CPU time of one client and nothing else. Peers take turns within each round, because a
shared machine drifts; ratios are taken within a round.

* `script`: what the replay server says, byte for byte, and so what each answer must be.
* `replay`: the server.
* `peers`: the clients that are compared, one table.
* `worker`: the process that holds one peer and runs cases when told.
* `bursts`, `throttled`, `short`, `imports`: a family of cases each; `families` lists them.
* `report`: medians, ratios with their spread, the table, the JSON file.

A new measurement is a new module with the same four names as `bursts`, entered in `families`.
"""
