"""The scripted server of the soak: `python -m benches.soak.server`.

Its first line on stdout is its URL. For each line on stdin it answers with a line of JSON, what it holds at that
moment: `{"connections": 3, "under_way": 0, "threads": 5, "descriptors": 9, "rss": 31457280, "requests": 120}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benches.soak.faults import FAULTS
from benches.soak.growth import descriptors, resident, threads
from benches.soak.orders import DIGEST, FILE, Order
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer, faults, lines

# The calls that were refused once and will come again.
REFUSED: set[int] = set()


def good_reply(path: str, payload: dict[str, Any], order: Order) -> Reply:
    streamed = payload.get("stream", True)
    if path == "/api/chat":
        return Reply.chat(order.pieces, stream=streamed, model=order.model)
    if path == "/api/generate":
        return Reply.generate(order.pieces, stream=streamed, model=order.model)
    if path == "/api/embed":
        vectors = [lines.vector(text) for text in payload["input"]]
        return Reply.embed(vectors, model=order.model, prompt_eval_count=len(vectors))
    if path == "/api/embeddings":
        return Reply.json(lines.embeddings_object(lines.vector(payload["prompt"])))
    if path == "/api/show":
        return Reply.json({"license": order.text, "details": {}})
    if path in ("/api/pull", "/api/push", "/api/create"):
        reports = [{"status": status} for status in order.steps]
        return Reply.ndjson(reports) if streamed else Reply.json(reports[-1])
    if path == "/v1/chat/completions":
        return Reply.sse(lines.openai_frames(order.pieces, model=order.model))
    return Reply.body(b"", None)


def answer(request: Request) -> Reply:
    payload = request.json()
    order = Order.read(payload.get("model") or payload["source"])
    path = request.path
    if order.fault == "redirect" and not request.query:
        return faults.redirect(f"{path}?moved")
    if order.fault == "flaky" and order.number not in REFUSED:
        REFUSED.add(order.number)
        return Reply.error("server busy", 503)
    REFUSED.discard(order.number)
    return FAULTS[order.fault].change(good_reply(path, payload, order), order)


def take_blob(request: Request) -> Reply:
    is_whole = request.body == FILE.read_bytes()
    return Reply.body(b"", None, 201 if is_whole else 400)


def main() -> None:
    with ScriptedServer() as server:
        for path in ("chat", "generate", "embed", "embeddings", "show", "pull", "push", "create", "copy"):
            server.on("POST", f"/api/{path}", answer)
        server.on("POST", "/v1/chat/completions", answer)
        server.on("DELETE", "/api/delete", answer)
        server.on("POST", f"/api/blobs/{DIGEST}", take_blob)
        print(server.url, flush=True)
        served = 0
        for _ in sys.stdin:
            served += server.forget_requests()
            state = {
                "connections": server.open_connections,
                "under_way": server.under_way,
                "threads": threads(),
                "descriptors": descriptors(),
                "rss": resident(),
                "requests": served,
            }
            print(json.dumps(state), flush=True)


if __name__ == "__main__":
    main()
