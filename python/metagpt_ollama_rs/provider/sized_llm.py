"""The part of this package's LLM classes that knows sizes: of texts in tokens, and of the model's context.

MetaGPT's main branch shortens conversations (``llm.compress_type``) as if each model had 128,000 tokens, and counts a
token for two characters. Here both come from `token_estimates` and `context_sizes`. MetaGPT 0.8.2 has neither method.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from metagpt.logs import logger
from metagpt.provider.base_llm import BaseLLM

from .. import AsyncClient
from ..context_facts import note_limit
from ..done_reasons import cut_prompt_warning
from ..errors import ContextOverflowError, OllamaError
from ..token_estimates import TokenEstimator, estimator_of, note_counts
from .context_sizes import (
    answer_reserve,
    ask_again_when_loaded,
    ask_server,
    ask_server_if_wanted,
    context_size,
    server_of,
)
from .live_llms import LiveLLM
from .message_cuts import CUT_TYPES, cut_messages
from .monkeypatches import STOCK_AREQUEST, is_unpatched
from .patches.patch import is_metagpts_own, is_switched_on

__all__ = ["SizedLLM"]


class SizedLLM(LiveLLM, BaseLLM):
    """A base of `OllamaLLM`: ``count_tokens``, ``compress_messages``, and questions to the server for both."""

    @property
    def token_estimator(self) -> TokenEstimator:
        """What the server's counts have told of this model's tokens."""
        return estimator_of(*server_of(self))

    @functools.wraps(BaseLLM.aask)
    async def aask(self, msg: Any, *args: Any, **kwargs: Any) -> Any:
        """As of ``BaseLLM.aask``. The server is asked for the size of the context first, if anything needs it."""
        # Code of the user's that sends the requests itself gets no others than MetaGPT's.
        asks = is_unpatched(self.client, "arequest", STOCK_AREQUEST)
        if asks:
            try:
                await (ask_server if self._cuts_messages() else ask_server_if_wanted)(self)
            except OllamaError:
                # The settings cannot be used: the call itself says so, and makes the record of it.
                asks = False
        answer = await super().aask(msg, *args, **kwargs)
        if asks:
            await ask_again_when_loaded(self)
        return answer

    def count_tokens(self, messages: list[dict[str, Any]]) -> int:
        """An estimate of how many tokens ``messages`` have, with what the model's template adds to them."""
        if not is_switched_on("token_counts", self):
            return int(super().count_tokens(messages))
        return self.token_estimator.message_tokens(messages)

    def compress_messages(
        self, messages: list[dict[str, Any]], compress_type: Any = "", max_token: int = 128000, threshold: float = 0.8
    ) -> list[dict[str, Any]]:
        """``messages``, shortened by MetaGPT's ``compress_type`` if they are longer than the context has room for.

        ``max_token`` is a limit beside that of the context. What is left free for the answer is ``num_predict`` of the
        request, or the part of the context above ``threshold`` where there is none. What was cut is told in a warning.
        """
        kind = str(getattr(compress_type, "value", compress_type) or "")
        if not is_switched_on("message_compression", self) or not is_metagpts_own(BaseLLM, "compress_messages"):
            return super().compress_messages(messages, compress_type, max_token, threshold)  # type: ignore
        if kind not in CUT_TYPES:
            return messages
        size, estimator = min(context_size(self).tokens, max_token), self.token_estimator
        limit = size - answer_reserve(self, size, 1 - threshold)

        def weight(message: Any) -> float:
            return estimator.message_weight(message) * estimator.margin

        cut = cut_messages(messages, kind, limit, weight)
        if cut.dropped or cut.shortened:
            rest = " and the nearest one was shortened" if cut.shortened else ""
            logger.warning(
                f"the conversation is longer than the context of {size} tokens has room for ({limit} without the "
                f"answer): of {len(messages)} messages {cut.dropped} were left out{rest} ({kind}). "
                "hint: raise llm.context_length (num_ctx)"
            )
        elif sum(map(weight, messages)) > limit:
            logger.warning(
                f"the conversation has about {round(sum(map(weight, messages)))} tokens, more than the {limit} that a "
                f"context of {size} has room for, and cannot be shortened by {kind}: it is sent as it is"
            )
        return cut.messages if cut.dropped or cut.shortened else messages

    def _look_at_counts(self, client: AsyncClient, payload: dict[str, Any], reply: dict[str, Any]) -> None:
        """Notes the token counts of a reply as it came, and warns of a prompt that the server has cut."""
        note_counts(client.base_url, payload, reply)
        warning = cut_prompt_warning(payload, reply)
        if warning is not None:
            logger.warning(warning)

    @contextlib.contextmanager
    def _remembering_limits(self, client: AsyncClient, payload: dict[str, Any]) -> Iterator[None]:
        """Remembers both numbers of the error for a prompt that is longer than the context."""
        try:
            yield
        except ContextOverflowError as error:
            options, model = payload.get("options") or {}, str(payload.get("model"))
            note_limit(client.base_url, model, options.get("num_ctx"), error.context_length)
            if error.prompt_tokens:
                note_counts(client.base_url, payload, {"prompt_eval_count": error.prompt_tokens})
            raise

    def _cuts_messages(self) -> bool:
        kind = getattr(self.config, "compress_type", None)
        return bool(getattr(kind, "value", kind)) and is_switched_on("message_compression", self)
