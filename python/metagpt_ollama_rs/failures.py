"""The exception for a failure of the core: its class, and what to do about it.

The core hands over what it knows as values, and a refusal in the server's words besides: nothing else tells it apart.
Status and words choose the class (``_CLASSES``) and the hint: one sentence without a full stop, such as "is Ollama
running there? Start it with `ollama serve`, …". Reading a refusal also fills in the attributes that only its text has:
numbers of tokens, where to sign in.
"""

from __future__ import annotations

from metagpt_ollama_rs._core import excerpt, is_cloud
from metagpt_ollama_rs.endpoints import ENDPOINTS, PULL
from metagpt_ollama_rs.errors import (
    AuthenticationError,
    BadRequestError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    ContextOverflowError,
    DecodeError,
    EmptyAnswerError,
    IncompleteError,
    InterruptedStreamError,
    MidStreamError,
    ModelNotFoundError,
    NotFoundError,
    OllamaError,
    ProtocolError,
    RateLimitError,
    RequestTimeout,
    ResponseError,
    ServerBusyError,
    ServerError,
    SubscriptionError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from metagpt_ollama_rs.endpoints import Endpoint

__all__ = ["UNUSABLE_VECTORS", "from_core", "kind_of"]

_BY_KIND: dict[str, type[OllamaError]] = {
    "config": ConfigurationError,
    "connect": ConnectError,
    "timeout": RequestTimeout,
    "protocol": ProtocolError,
    "status": ResponseError,
    "mid_stream": MidStreamError,
    "incomplete": IncompleteError,
    "interrupted": InterruptedStreamError,
    "decode": DecodeError,
    "empty_answer": EmptyAnswerError,
    "closed": ClosedError,
}

# What a prompt that does not fit is called, by Ollama, by llama.cpp and by servers with OpenAI's API. That a text
# mentions a context is not enough: it may be the model's name, a setting, or too large for the memory.
_OVERFLOW = (
    r"exceed_context_size|context_length_exceeded|exceeds the available context size"
    r"|\b(prompt|inputs?|messages|tokens)\b.{0,80}(exceed|longer than|too long|maximum|larger than).{0,40}\bcontext\b"
    r"|\b(prompt|inputs?|messages)\b.{0,20}too long"
    r"|maximum context (length|size|window).{0,80}\btokens\b"
)

_PLAN = r"subscri|upgrade|\bplan\b|billing|payment|\bpaid\b|credits|requires a .{0,20}account"

# Ollama answers these with 500 or 501, though another request would do
# (docs/wire.md#11-statuses-of-refusals).
_BAD_REQUEST = r'option "|invalid format|image input is not supported|does not support embeddings'

# Which class a refusal has: its statuses, a pattern of the text in lower case ("" for any), the class.
_CLASSES: tuple[tuple[tuple[int, ...], str, type[OllamaError]], ...] = (
    ((400, 413, 422, 500), _OVERFLOW, ContextOverflowError),
    ((402,), "", SubscriptionError),
    ((403,), _PLAN, SubscriptionError),
    ((400, 401, 404), r"requires an? .{0,20}(subscription|plan)\b", SubscriptionError),
    ((401, 403, 407), "", AuthenticationError),
    ((404,), "", ModelNotFoundError),
    ((404,), "", NotFoundError),
    ((429,), "", RateLimitError),
    ((500, 501), _BAD_REQUEST, BadRequestError),
    ((503,), "", ServerBusyError),
)


def from_core(
    kind: str,
    *,
    message: str,
    url: str | None = None,
    model: str | None = None,
    endpoint: str | None = None,
    status: int | None = None,
    server_text: str | None = None,
    body: bytes | None = None,
    phase: str | None = None,
    seconds: float | None = None,
    retry_after: float | None = None,
    loaded: bool | None = None,
    available: list[str] | None = None,
    proxy: str | None = None,
    location: str | None = None,
    cause: str | None = None,
    quota: bool = False,
    repeated: str | None = None,
    partial: str = "",
    partial_thinking: str = "",
) -> OllamaError:
    """The exception for a failure, with its hint.

    ``kind``, ``phase`` and ``cause`` are names of ``src/error.rs``, which says what the other arguments are;
    ``endpoint`` is the path of a row of the table of endpoints, ``repeated`` the block that an answer repeats.

    >>> error = from_core("connect", message="nothing listens there", cause="unknown_name")
    >>> type(error).__name__, error.hint
    ('ConnectError', "is the host's name spelled right? Correct base_url (host, OLLAMA_HOST)")
    """
    text = server_text or ""
    cls = _BY_KIND[kind]
    if cls is ResponseError:
        cls = _refusal(status or 0, text, cause)
    elif cls is RequestTimeout and phase == "connect":
        cls = ConnectTimeout
    error = cls(message, url=url, model=model, status=status, partial=partial, partial_thinking=partial_thinking)
    if proxy:
        error.proxy = proxy
    if isinstance(error, RequestTimeout):
        error.phase = phase or ""
        error.seconds = seconds
        error.loaded = loaded
    elif isinstance(error, ProtocolError):
        error.location = location
    elif isinstance(error, IncompleteError):
        error.repeated = repeated or ""
    elif isinstance(error, ResponseError):
        error.error = text or (message if cls is MidStreamError else "")
        error.body = body or b""
        error.retry_after = retry_after
        if isinstance(error, ModelNotFoundError):
            error.available = available
    error.hint = _hint_of(
        error, ENDPOINTS.get(endpoint or ""), cause=cause, quota=quota, repetition=repeated is not None
    )
    return error


def kind_of(error: OllamaError) -> str:
    """The name of the kind in the records of calls: that of the nearest class that has one."""
    classes = {cls: kind for kind, cls in _BY_KIND.items()}
    return next((classes[cls] for cls in type(error).__mro__ if cls in classes), "protocol")


def _refusal(status: int, text: str, cause: str | None) -> type[OllamaError]:
    """The class of a refusal: status and text decide together, the first row of ``_CLASSES`` that fits."""
    lower = text.lower()
    for statuses, words, cls in _CLASSES:
        fits = cause == "missing_model" if cls is ModelNotFoundError else not words or _matches(words, lower)
        if fits and status in statuses:
            return cls
    return ServerError if status >= 500 else BadRequestError if 400 <= status < 500 else ResponseError


def _matches(pattern: str, text: str) -> bool:
    import re

    return re.search(pattern, text, re.DOTALL) is not None


# As much is shown of a name, of a list of names or of a URL.
_NAME, _NAMES, _URL = 100, 600, 300

# The folders of Ollama's paths.
_API = ("api", "v1")

_SERVER_LOG = "the server's own log says more (`journalctl -u ollama`, or the window of `ollama serve`)"

_HINTS: dict[type[OllamaError], str] = {
    ConfigurationError: "nothing was sent: correct the setting",
    ConnectError: "is Ollama running there? Start it with `ollama serve`, or correct base_url (host, OLLAMA_HOST)",
    ConnectTimeout: "is the address right and the machine reachable? Correct base_url (host, OLLAMA_HOST)",
    RequestTimeout: "raise timeout",
    ProtocolError: "is base_url the address of an Ollama server, such as http://127.0.0.1:11434?",
    ResponseError: _SERVER_LOG,
    BadRequestError: "correct the request as the server says; `ollama show MODEL` lists what the model can do",
    AuthenticationError: "no key, or a wrong one: set api_key",
    SubscriptionError: "choose another model, such as one that runs on your own machine, or upgrade the account's plan",
    NotFoundError: "base_url must be the server's address without a path of its own; or update Ollama",
    RateLimitError: "wait, or ask less often",
    ServerBusyError: "ask less at once, or raise OLLAMA_MAX_QUEUE on the server",
    ServerError: _SERVER_LOG,
    MidStreamError: "the server's own log says more; the text so far is in `partial`",
    IncompleteError: "the model may have repeated itself or crashed; the text so far is in `partial`",
    InterruptedStreamError: "was the server stopped? The text so far is in `partial`",
    DecodeError: "does a proxy change the replies? The text so far is in `partial`",
    ContextOverflowError: "raise context_length (num_ctx) to fit the prompt and the answer, or shorten the prompt",
    EmptyAnswerError: "raise num_predict (max_token) or num_ctx (context_length), or switch thinking off",
    ClosedError: "make a new client, or start a new request",
}

_REPETITION_HINT = (
    "raise repeat_penalty (llm.repetition_penalty), choose another model, or bound the answer with num_predict "
    "(llm.max_token); the text with two rounds is in `partial`; without repetition_guard the model goes on"
)

UNUSABLE_VECTORS = "is it an embedding model? Update Ollama, or whatever answers in its place"

# What to do about a failure of which the core knows the cause (``Cause`` of ``src/error.rs``), by its name.
_HINTS_BY_CAUSE = {
    "unknown_name": "is the host's name spelled right? Correct base_url (host, OLLAMA_HOST)",
    "unknown_proxy_name": "is the proxy right and running? Correct its name in proxy (or HTTP_PROXY, HTTPS_PROXY, "
    "ALL_PROXY), or leave it out and add the host to NO_PROXY",
    "closed": _SERVER_LOG,
    "unix_socket": "is the path in base_url (host, OLLAMA_HOST) right, does a server listen there, and may this user "
    "write to the socket?",
    "untrusted": "name the file of its CA, or of the certificate itself, with verify (in config2.yaml: "
    "`extra_fields: {verify: /path/ca.pem}`) or SSL_CERT_FILE",
    "expired": "renew the server's certificate; or is this machine's clock wrong?",
    "not_yet_valid": "is this machine's clock right, or the server's certificate made too early?",
    "wrong_name": "write the host in base_url as the certificate has it, or make a certificate for this one "
    "(subjectAltName)",
    "no_tls": "write http:// in base_url",
    "client_certificate": "name the file of a certificate that this server accepts, and of its key, with cert (in "
    "config2.yaml: `extra_fields: {cert: /path/client.pem}`)",
    "handshake": "does the server speak TLS (else write http://), and does this machine trust its certificate "
    "(verify)?",
    "foreign_line": "does a server or a proxy put lines of its own into its replies? The text so far is in `partial`",
    "vectors": UNUSABLE_VECTORS,
}

_PROXY_DOWN = "is the proxy right and running? Correct it, or leave it out and add the host to NO_PROXY"

# What to do about a reply that is a proxy's own, by its status.
_PROXY_HINTS = {
    407: "write the login into the proxy's URL, as USER:PASSWORD@ before its host, in proxy or HTTP(S)_PROXY",
    403: "the proxy does not let the request through: leave it out for this server (NO_PROXY, or no proxy setting), or "
    "ask who runs it",
    511: "the network wants a sign-in: open a web page in a browser, or leave the proxy out for this server (NO_PROXY)",
}

_PROXY_FAILED = (
    "the proxy has not reached the server: is base_url right as the proxy sees it, and Ollama running there? "
    "A server nearby belongs in NO_PROXY (and wants no proxy setting)"
)

_TRANSFER_FAILED = "those are the server's words, or the registry's; the server's own log says more"

_PHASE_HINTS = {
    "first_token": "the model may still be loading, or the prompt is long: raise timeout (first_token)",
    "idle": "the server stopped sending: raise timeout (idle) if the model is just slow",
    "total": "raise the total limit, or leave it unset",
}

_LOADED_HINTS = {
    False: "a client that leaves ends the loading: raise timeout (first_token), or load the model beforehand with "
    "an empty request and keep_alive",
    True: "raise timeout (first_token), shorten the prompt, or ask less at once (OLLAMA_NUM_PARALLEL)",
}

# What to do about a refusal, by words of the server's text, most telling first. Ollama's own texts are those of
# docs/wire.md#11-statuses-of-refusals; a text that is not here gets the hint of its class.
_HINTS_BY_TEXT: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("error unmarshalling llama", "error reading llama", "llama-server chat error", "exceeded 8 mb limit"),
        "the model's runner failed: the server's own log says why; ask again, or update Ollama",
    ),
    (("does not support thinking",), "leave `think` (reasoning) out for this model"),
    (
        ("does not support tools",),
        "leave `tools` out, or choose a model whose `ollama show` lists tools",
    ),
    (("does not support insert",), "leave `suffix` out, or choose a model whose `ollama show` lists insert"),
    (("does not support embeddings",), "this is a chat model: choose an embedding model, such as nomic-embed-text"),
    (
        ("does not support chat", "does not support generate"),
        "this is an embedding model: choose a chat model, and keep this one for embeddings",
    ),
    (("image input is not supported",), "the model has no vision: choose one whose `ollama show` lists vision"),
    (("illegal base64", "invalid image"), "images must be bare base64 of a PNG or JPEG, without a data: prefix"),
    (("failed to process inputs", "unable to load image"), "is the image whole? Send a PNG or JPEG"),
    (("failed to compute embedding",), "one of the texts breaks the model: embed them one by one to find it"),
    (("invalid input type",), "embed takes a text or a list of texts"),
    (('option "',), "correct the type of this option, in options or in MetaGPT's extra_fields"),
    (("invalid format",), 'format must be "json" or a JSON Schema object'),
    (
        ("grammar", "schema conversion"),
        'the server cannot hold the model to this schema: simplify format, or set structured: "false" for this model',
    ),
    (
        ("missing request body", "unexpected eof", "invalid character", "cannot unmarshal"),
        "the request is not the JSON "
        "that this endpoint takes: check the types of its fields, or what a proxy makes of it",
    ),
    (
        ("http request to an https server", "http request was sent to https port"),
        "write https:// in base_url",
    ),
    (("model is required", "invalid model name", "model '' not found"), "name a model, such as llama3.2 or qwen3:8b"),
    (("use either :local or :cloud",), "leave one of the two suffixes out"),
    (("raw mode does not support",), "leave template, system and context out, or raw"),
    (("top_logprobs must be",), "give top_logprobs from 0 to 20"),
    (("image generation",), "choose a model that answers with text"),
    (("cannot run this remote model",), "add the model's host to OLLAMA_REMOTES on the server"),
    (("cloud is disabled",), "choose a local model, or enable Ollama's cloud on the server"),
    (("invalid tool call arguments",), "the model wrote a broken tool call: ask again, or choose a larger model"),
    (
        ("out-of-memory", "out of memory", "more system memory", "resource limitations"),
        "choose a smaller model or quantization, or a smaller num_ctx; the server's own log says more",
    ),
    (
        ("pull model manifest: file does not exist", "manifest unknown"),
        "the registry has no such model: is the name spelled right? https://ollama.com/search lists them",
    ),
    (("newer version of ollama",), "update Ollama on the server"),
    (
        ("no such host", "dial tcp", "i/o timeout", "tls handshake timeout"),
        "the server cannot reach the other host: look at its network, its proxy (HTTPS_PROXY there) and its DNS",
    ),
    (("no space left",), "make room on the server's disk, where OLLAMA_MODELS points"),
    (("digest mismatch",), "the download was damaged: pull again"),
    (("failed to load model",), "pull the model again (`ollama pull`), or update Ollama: its file cannot be read"),
    (("timed out waiting for llama",), "the model takes too long to load: raise OLLAMA_LOAD_TIMEOUT on the server"),
    (
        ("process has terminated", "has unexpectedly stopped", "error starting llama"),
        "the model's runner crashed: the server's own log says why; a smaller num_ctx or model may do",
    ),
)


def _hint_of(error: OllamaError, endpoint: Endpoint | None, *, cause: str | None, quota: bool, repetition: bool) -> str:
    """The hint for an error whose attributes are set; ``cause`` and ``quota`` are those of ``src/error.rs``."""
    hint = _HINTS.get(type(error), "")
    if isinstance(error, ConnectTimeout):
        if error.proxy:
            return _PROXY_DOWN
        return hint + ("; does the server speak TLS? Else write http://" if _is_https(error) else "")
    if isinstance(error, RequestTimeout):
        return _PHASE_HINTS.get(error.phase, hint) if error.loaded is None else _LOADED_HINTS[error.loaded]
    if isinstance(error, ConnectError):
        return _explain_connection(error, cause) or hint
    if cause in ("foreign_line", "vectors") and isinstance(error, ProtocolError):
        return _HINTS_BY_CAUSE[cause]
    if isinstance(error, ProtocolError) and error.proxy:
        return f"is that an answer of the proxy's own? {_PROXY_DOWN[0].upper()}{_PROXY_DOWN[1:]}"
    if repetition:
        return _REPETITION_HINT
    transfer = endpoint.when_broken_off if endpoint else ""
    if isinstance(error, MidStreamError):
        known = _hint_of_text(error.error)
        if transfer:
            return known or _TRANSFER_FAILED
        return f"{known}; the text so far is in `partial`" if known else hint
    if isinstance(error, ResponseError):
        return _explain_refusal(error, endpoint, quota) or hint
    if transfer and isinstance(error, (IncompleteError, InterruptedStreamError)):
        return transfer
    return hint


def _is_https(error: OllamaError) -> bool:
    return (error.url or "").startswith("https:")


def _explain_refusal(error: ResponseError, endpoint: Endpoint | None, quota: bool) -> str:
    """Fills in what the body says beyond the text, and returns a hint of its own where there is a better one."""
    if isinstance(error, ContextOverflowError):
        return _read_overflow(error, endpoint)
    gateway = _explain_gateway(error)
    if gateway:
        return gateway
    if isinstance(error, AuthenticationError):
        return _explain_authentication(error)
    if isinstance(error, ModelNotFoundError):
        return _explain_missing_model(error, endpoint)
    if quota:
        return (
            "the account's quota is used up: wait until it is renewed, choose a model of your own machine, or upgrade"
        )
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        return f"the server asks to wait {error.retry_after:g} s, or ask less often"
    if isinstance(error, NotFoundError) and error.url:
        return _explain_missing_path(error.url)
    if error.status == 405:
        return _HINTS[NotFoundError]
    return _hint_of_text(error.error)


def _hint_of_text(text: str) -> str:
    """The hint for what a server says, by the words in it; "" where none of them is known."""
    lower = text.lower()
    for words, hint in _HINTS_BY_TEXT:
        if any(word in lower for word in words):
            return hint
    return ""


def _explain_connection(error: ConnectError, cause: str | None) -> str:
    """What to do about a failed connection, which may be one to a proxy or through it."""
    hint = _HINTS_BY_CAUSE.get(cause or "", "")
    proxy = error.proxy or ""
    if cause == "untrusted" and proxy:
        return f"{hint}; a proxy that opens TLS has a CA of its own"
    if cause == "unknown_name" and proxy:
        remote = proxy.replace("socks4:", "socks4a:").replace("socks5:", "socks5h:")
        return f"write {remote} to have the proxy look up names, or correct base_url (host, OLLAMA_HOST)"
    if cause == "closed" and not proxy and not _is_https(error):
        return f"{hint}; or it speaks TLS only: write https://"
    return _PROXY_DOWN if proxy and cause in (None, "closed") else hint


def _explain_gateway(error: ResponseError) -> str:
    """What to do about a refusal that is not Ollama's own but that of a proxy, or "" for others."""
    if error.proxy:
        hint = _PROXY_HINTS.get(error.status_code, _PROXY_FAILED)
        # A Host that Ollama does not like is refused without a body, too (docs/wire.md#13-refused-hosts).
        maybe = "; or Ollama refuses the Host: set OLLAMA_ORIGINS on the server"
        return hint + maybe if error.status == 403 and not error.body else hint
    if error.status == 407:
        return f"a proxy in between wants credentials: {_PROXY_HINTS[407]}"
    foreign = not error.body.lstrip().startswith(b"{")
    if error.status in (401, 403) and error.body and foreign:
        return (
            "that is no reply of Ollama's but of a proxy or web server in front of it, which wants credentials: write "
            "USER:PASSWORD@ before the host in base_url, or set headers"
        )
    if error.status in (502, 503, 504) and foreign:
        return "that is no reply of Ollama's but of a proxy in front of it: is Ollama running behind it?"
    return ""


def _read_overflow(error: ContextOverflowError, endpoint: Endpoint | None) -> str:
    import re

    numbers = error.body.replace(b'\\"', b'"')
    prompt = re.search(rb'"n_prompt_tokens":\s*(\d{1,18})', numbers) or re.search(r"\((\d{1,18}) tokens\)", error.error)
    context = re.search(rb'"n_ctx":\s*(\d{1,18})', numbers) or re.search(r"size \((\d{1,18}) tokens\)", error.error)
    error.prompt_tokens = int(prompt.group(1)) if prompt else None
    error.context_length = int(context.group(1)) if context else None
    if not (error.prompt_tokens and error.context_length):
        return "shorten or split the text that is embedded" if endpoint and endpoint.embeds else ""
    return (
        f"the prompt has {error.prompt_tokens} tokens and the context {error.context_length}: "
        f"set context_length (num_ctx) above {error.prompt_tokens}, or shorten the prompt"
    )


def _explain_authentication(error: AuthenticationError) -> str:
    if b"signin_url" in error.body:
        import json

        try:
            refusal = json.loads(error.body)
        except ValueError:
            return ""
        url = refusal.get("signin_url") if isinstance(refusal, dict) else None
        error.signin_url = url if isinstance(url, str) else None
        return f"sign in at {excerpt(error.signin_url, _URL)}" if error.signin_url else ""
    if error.status == 403 and not error.body:
        # A refused Host or Origin has no body (docs/wire.md#13-refused-hosts).
        return "have the proxy in front of Ollama send `Host: localhost:11434`, or set OLLAMA_ORIGINS on the server"
    known = _hint_of_text(error.error)
    if known:
        return known
    if error.status == 403:
        return "the server forbids this: is it something that this account or key may do?"
    if is_cloud(error.url or ""):
        return "no key, or a wrong one: set api_key or OLLAMA_API_KEY"
    return (
        "no key, or a wrong one: set api_key (OLLAMA_API_KEY is sent to ollama.com only); "
        "for a model of Ollama's cloud, run `ollama signin` on the server"
    )


def _explain_missing_path(url: str) -> str:
    # A path as the base URL leads to, https://host/api/chat, and not https://host/ollama/api/chat or …/api/api/chat.
    path = url.partition("://")[2].partition("/")[2]
    first, _, rest = path.partition("/")
    if first in _API and rest.partition("/")[0] not in _API:
        return f"the server does not know /{excerpt(path, _URL)}: update Ollama, if it is one"
    return f"{excerpt(url, _URL)} is no path of an Ollama server: {_HINTS[NotFoundError]}"


def _explain_missing_model(error: ModelNotFoundError, endpoint: Endpoint | None) -> str:
    if not error.model:
        return "name a model, such as llama3.2 or qwen3:8b; `ollama list` shows those that are there"
    if endpoint is PULL:
        return "is the name spelled right? https://ollama.com/search lists the models that there are"
    # What is about to be deleted, copied or pushed is not made by pulling it.
    here = endpoint is not None and endpoint.changes
    pull = "is the name spelled right?" if here else f"pull it with `ollama pull {excerpt(error.model, _NAME)}`"
    if error.available is None:
        return f"{pull}; `ollama list` shows the models that are there"
    there = ", ".join(excerpt(name, _NAME) for name in error.available[:20])
    more = ", …" if len(error.available) > 20 else ""
    listed = f"the server has {excerpt(there, _NAMES) or 'no models at all'}{more}"
    meant = excerpt(_similar_model(error.model, error.available) or "", _NAME)
    if meant:
        return f"did you mean {meant}? {listed}" if here else f"did you mean {meant}? Else {pull}; {listed}"
    return f"{pull}; {listed}"


def _similar_model(wanted: str, available: list[str]) -> str | None:
    """The model that a name was meant for: one of the same name and another tag, or of a similar name."""
    from metagpt_ollama_rs.spelling import near_miss

    def short(name: str) -> str:
        return name[: -len(":latest")] if name.endswith(":latest") else name

    names = [short(name) for name in available]
    meant = short(wanted)
    base, _, tag = meant.partition(":")
    for name in names:
        if name.lower() == meant.lower():
            return name
    others = [name for name in names if name.partition(":")[0].lower() == base.lower()]
    if others:
        return (near_miss(meant, others) if tag else None) or others[0]
    whole = near_miss(meant, names)
    if whole:
        return whole
    similar = near_miss(base, [name.partition(":")[0] for name in names])
    return next((name for name in names if similar and name.partition(":")[0] == similar), None)
