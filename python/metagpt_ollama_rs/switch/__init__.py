"""Switches an installed MetaGPT over to this package's provider, and back.

Three files of MetaGPT are changed: `provider/ollama_api.py`, which becomes the import of this package's provider,
`configs/llm_config.py`, which would refuse an empty key also for Ollama, and `tools/libs/__init__.py`, which gets the
import of a fourth file, `tools/libs/slc.py`. That one is made, and imports this package's tools.

    environment.py    the variables by which `metagpt-ollama run` reaches its processes
    releases.py       the files, and the versions of MetaGPT whose provider is known; originals/ has the files of 0.8.2
    edits.py          what becomes of the text of the files
    files.py          the files on disk: their state, how they are changed and restored
    find.py, probe.py, config_file.py
                      run in a process of MetaGPT's interpreter: where MetaGPT is, which provider it uses, which
                      configuration it reads
    installation.py   an installed MetaGPT, as those three describe it
    running.py        runs a command whose MetaGPT is edited while it is imported (child/), with no file changed
    reporting.py      in such a process: what it reports of its errors
    summary.py        the totals of the model calls of such a run

No module here imports MetaGPT into the process of the command.
"""
