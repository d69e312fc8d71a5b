"""Imports MetaGPT, which takes eight seconds, once in the process from which the workers that need it are forked.

Nothing of this package or of the original provider is imported here, no event loop is made and no thread is started.
"""

from __future__ import annotations

import os
import warnings

# MetaGPT prints to standard output, which is the coordinator's report, so it is sent to standard error.
os.dup2(2, 1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import metagpt.configs.llm_config
    import metagpt.logs
    import metagpt.provider.base_llm
    import metagpt.provider.general_api_requestor
    import metagpt.provider.llm_provider_registry  # noqa: F401
