"""Names and arguments of the methods and functions: those of the installed ollama-python, and the same in both clients.

A new version of ollama-python that adds a method or an argument, renames one or changes a default makes this fail.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable

import ollama
import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import AsyncClient, Client
from metagpt_ollama_rs.arguments import CallOptions, ChatFields, CreateFields, GenerateFields

OPTIONS = tuple(CallOptions.__annotations__)
Parameters = list[inspect.Parameter]


def public(holder: Any) -> dict[str, Callable[..., Any]]:
    """The public functions of a class or of a module, bound methods among them."""
    members = {name: getattr(holder, name) for name in dir(holder) if not name.startswith("_")}
    return {name: member for name, member in members.items() if inspect.isroutine(member)}


def parameters_of(function: Callable[..., Any]) -> Parameters:
    return [item for item in inspect.signature(function).parameters.values() if item.name != "self"]


def facts(parameters: Parameters) -> list[tuple[str, Any, Any]]:
    return [(item.name, item.kind, item.default) for item in parameters]


THEIRS = [
    pytest.param(theirs, ours, name, id=f"{where} {name}")
    for where, theirs, ours in (
        ("Client", ollama.Client, Client),
        ("AsyncClient", ollama.AsyncClient, AsyncClient),
        ("module", ollama, metagpt_ollama_rs),
    )
    for name in public(theirs)
]


def test_their_functions_are_found() -> None:
    assert len(THEIRS) > 45


@pytest.mark.parametrize(("theirs", "ours", "name"), THEIRS)
def test_a_function_of_ollama_python_has_its_arguments_here(theirs: Any, ours: Any, name: str) -> None:
    function, original = getattr(ours, name), getattr(theirs, name)
    wanted = facts(parameters_of(original))
    found = parameters_of(function)
    names = {name for name, _, _ in wanted}
    assert facts([item for item in found if item.name in names]) == wanted
    # What is added stands behind, by its name only.
    added = [item for item in found if item.name not in names]
    last = {item.KEYWORD_ONLY for item in added[:-1]} | {item.VAR_KEYWORD for item in added[-1:]}
    assert {item.kind for item in added} == last
    positional = [item.name for item in found if item.kind is item.POSITIONAL_OR_KEYWORD]
    assert positional == [name for name, kind, _ in wanted if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(original)


def test_the_clients_are_made_of_the_host_first() -> None:
    for theirs, ours in ((ollama.Client, Client), (ollama.AsyncClient, AsyncClient)):
        assert facts(parameters_of(theirs))[0] == facts(parameters_of(ours))[0]


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    blocking, on_a_loop = public(Client), public(AsyncClient)
    assert on_a_loop.pop("aclose").__name__ == "close"
    assert set(blocking) == set(on_a_loop)
    for name, method in blocking.items():
        other = on_a_loop[name]
        assert parameters_of(method) == parameters_of(other), name
        awaited = inspect.iscoroutinefunction(other) or inspect.isasyncgenfunction(other)
        assert awaited, f"{name} of AsyncClient is not to be awaited"
        assert not inspect.iscoroutinefunction(method)
        assert (method.__doc__, other.__doc__) > ("", ""), f"{name} has no docstring"


def test_the_functions_of_the_module_are_methods_of_a_client() -> None:
    raw = {"close", "stream_text", "request_json", "request_bytes", "stream_lines"}
    for name in set(public(Client)) - raw:
        function = getattr(metagpt_ollama_rs, name)
        assert facts(parameters_of(function)) == facts(parameters_of(getattr(Client, name)))
        assert name in dir(metagpt_ollama_rs)
        assert name not in metagpt_ollama_rs.__all__


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_every_method_takes_the_options_of_a_call(client: type) -> None:
    for name, method in public(client).items():
        if name not in ("close", "aclose"):
            *_, last = parameters_of(method)
            assert (last.name, last.kind, last.annotation) == ("call", last.VAR_KEYWORD, "Unpack[CallOptions]"), name


@pytest.mark.parametrize(
    ("method", "fields", "apart"),
    [
        ("chat", ChatFields, {"model", "messages"}),
        ("generate", GenerateFields, {"model", "prompt", "suffix"}),
        ("create", CreateFields, None),
    ],
)
def test_the_overloads_have_the_arguments_of_the_method(method: str, fields: Any, apart: set[str] | None) -> None:
    """The annotations, too, are those of the method."""
    parameters = parameters_of(getattr(Client, method))[:-1]
    # Where there is an iterator over reports, they go to no callback.
    others = {"stream", "on_progress"}
    if apart is None:
        apart = {item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD}
    wanted = {item.name: item.annotation for item in parameters if item.name not in {*apart, *others}}
    found = {name: getattr(hint, "__forward_arg__", hint) for name, hint in fields.__annotations__.items()}
    assert {name: hint for name, hint in found.items() if name not in OPTIONS} == wanted


def test_every_method_refuses_an_option_that_there_is_not() -> None:
    client = Client("http://127.0.0.1:1", retries=0)
    for name, method in public(Client).items():
        if name == "close":
            continue
        needed = [item for item in parameters_of(method) if item.default is item.empty][:-1]
        with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument 'header'; did you mean 'headers'\?"):
            getattr(client, name)(*["x"] * len(needed), header={})
