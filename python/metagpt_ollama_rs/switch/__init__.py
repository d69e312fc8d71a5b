"""Puts this package under an installed MetaGPT, and takes it out again.

Two files of MetaGPT matter: `provider/ollama_api.py`, in whose place the drop-in import goes, and
`configs/llm_config.py`, which refuses an empty key also for Ollama. `releases` lists the versions of MetaGPT whose
files are known, and `originals` holds those of 0.8.2; `edits` says what becomes of their text; `files` tells what state
they are in and changes them on disk; `find` and `probe` look at an installation from a process of its interpreter;
`running` changes nothing on disk and edits the two modules while they are imported (`child`); `summary` tells what the
model calls of such a run came to.

Nothing here imports MetaGPT into the process of the command.
"""
