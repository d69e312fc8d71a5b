"""Requests and replies of Ollama's web search, such as ``{"results": [{"title": "Ollama", "url": "https://ollama.com",
"content": "…"}]}``."""

from __future__ import annotations

from metagpt_ollama_rs.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WebFetchRequest", "WebFetchResponse", "WebSearchRequest", "WebSearchResponse", "WebSearchResult"]


class WebSearchRequest(Record):
    """What to search for.

    >>> WebSearchRequest(query="ollama", max_results=3).max_results
    3
    """

    __slots__ = ()
    query: str
    max_results: int | None


class WebSearchResult(Record):
    """A page that was found.

    >>> WebSearchResult(title="Ollama", url="https://ollama.com").url
    'https://ollama.com'
    """

    __slots__ = ()
    content: str | None
    title: str | None
    url: str | None


class WebFetchRequest(Record):
    """Which page to fetch.

    >>> WebFetchRequest(url="https://ollama.com").url
    'https://ollama.com'
    """

    __slots__ = ()
    url: str


class WebSearchResponse(Record):
    """The pages that were found.

    >>> WebSearchResponse(results=[{"title": "Ollama"}]).results[0].title
    'Ollama'
    """

    __slots__ = ()
    _nested = {"results": WebSearchResult}
    results: Sequence[WebSearchResult]


class WebFetchResponse(Record):
    """A page as text, and the links in it.

    >>> WebFetchResponse(title="Ollama", content="Get up and running", links=["https://ollama.com/models"]).links
    ['https://ollama.com/models']
    """

    __slots__ = ()
    title: str | None
    content: str | None
    links: Sequence[str] | None
