"""A FastAPI endpoint that streams a model's answer; a client that leaves stops the model.

    python examples/streaming_api.py [--port 8000] [--model NAME]
    curl -N http://127.0.0.1:8000/ask -H "Content-Type: application/json" -d '{"prompt": "Why is the sky blue?"}'

The answer is lines of JSON: `{"text": …}` for each piece, then `{"done": true, …}` or `{"error": …}`. It needs
`fastapi` and `uvicorn`, and asks the Ollama at OLLAMA_HOST.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from metagpt_ollama_rs import AsyncClient, Client, OllamaError

try:
    import uvicorn
    from fastapi import Body, FastAPI
    from fastapi.responses import StreamingResponse
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing.name} is not installed.\nhint: pip install fastapi uvicorn") from None


def chat_model(client: Client) -> str:
    """A model that can chat, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "completion" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no chat model.\nhint: ollama pull smollm2")


async def answer(client: AsyncClient, model: str, prompt: str) -> AsyncIterator[str]:
    """The lines of one reply. A client that hangs up ends this generator; the end of `async with` stops the model."""
    try:
        messages = [{"role": "user", "content": prompt}]
        async with await client.chat(model, messages, stream=True, options={"num_predict": 1000}) as stream:
            async for part in stream:
                if part.message.content:
                    yield line(text=part.message.content)
        yield line(done=True, reason=part.done_reason, tokens=part.eval_count)
    except OllamaError as error:
        # The status 200 was sent with the first line, so an error can only be reported in the last line.
        yield line(error=str(error))


def line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def create_app(model: str, host: str | None = None) -> FastAPI:
    """The application, with one client for all requests. `host`: OLLAMA_HOST if None."""
    client = AsyncClient(host)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/ask")
    async def ask(prompt: str = Body(embed=True, min_length=1)) -> StreamingResponse:
        return StreamingResponse(answer(client, model, prompt), media_type="application/x-ndjson")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A FastAPI endpoint that streams a model's answer.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", help="default: one that the server has")
    options = parser.parse_args()
    try:
        with Client() as client:
            model = options.model or chat_model(client)
            client.show(model)
    except OllamaError as error:
        raise SystemExit(str(error)) from error
    uvicorn.run(create_app(model), host=options.host, port=options.port)


if __name__ == "__main__":
    main()
