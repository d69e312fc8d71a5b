"""What this package changes in MetaGPT beyond the provider, where MetaGPT assumes a large model of a cloud.

`names` lists the patches, each with a name by which users switch it off; `table` says which module of MetaGPT each one
changes, and applies them; `patch` has what they share. The other modules are the patches, by subject. Each changes
calls of this package's LLM objects only: what other providers of the same process do stays MetaGPT's own.

A patch is applied when its module of MetaGPT is imported, and asks at each call whether it is switched on
(`extra_fields: {unpatched: …}` of the LLM's configuration, or ``METAGPT_OLLAMA_UNPATCHED``).
"""
