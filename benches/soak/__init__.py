"""The soak: all kinds of calls and faults for minutes, every answer checked, and nothing may grow.

`make soak MINUTES=10` runs `python -m benches.soak`. What is called is chosen at random from a seed, which is printed.

* `orders`: what a call asks for and what it must get. The name of the model says it, so that the server needs no
  memory: `soak/41/cut/12/0/m` is call 41, of 12 words, which the server is to cut.
* `faults`: what the server does to a good answer, and what the client must say of it.
* `server`: the scripted server, in a process of its own.
* `kinds`: the kinds of calls, a row each.
* `callers`: threads and event loops that make calls and check what comes back.
* `growth`: what is measured between two rounds, and whether it has grown.
* `figure`: the memory of a run as a picture.
"""
