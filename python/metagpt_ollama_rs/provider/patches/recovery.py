"""Patches ``Team.serialize`` and ``Team.deserialize``, so that a team that was stopped goes on in a new process.

MetaGPT writes a team to ``team.json`` (when its run fails, or on request) and reads it back, but what comes back does
not go on: messages that a role had received and not read are left out; a role that was cut off counts its message as
read unless it was the one that failed; one with several actions goes on with the right one, and fails after the last;
the roles ask the server and the model of the default configuration, whatever context ``deserialize`` is given; the sums
of tokens are read and dropped; and the idea, which ``metagpt --recover-path`` publishes again, makes every role that
listens to the user begin anew. With Ctrl-C nothing is written at all, because asyncio of Python 3.11 cancels the run.
The patches:

- ``team.json`` gets one more key, with the messages that each role has still to read, the one included in whose
  middle it was stopped. MetaGPT ignores keys that it does not know.
- A team that is read back has these messages in the roles' buffers, the context's configuration in its roles, and their
  plans.
- A role that goes on in the middle of its actions has its memory in the order of events, and ends after the last one;
  one that has failed, and is not recovered, begins with the first action when it gets another message.
- The idea of a recovered team is not published a second time while there is something to go on with.
- A cancelled run is written, as a failed one is, before it ends.

What is written is changed for teams of which at least one role has an LLM object of this package; what is read back,
where the configuration of the context is Ollama's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from metagpt.logs import logger

from .message_types import all_field_types
from .patch import is_switched_on, replace_function
from .which_llm import llm_of_config

__all__ = ["patch_context_sums", "patch_roles", "patch_team_files"]

_NAME = "recovery"
# The key in `team.json`. Its value has a list of dumped messages for each role, by the role's key in the environment.
_UNREAD = "unread_messages"
_SUMS = ("total_prompt_tokens", "total_completion_tokens", "total_cost")

# Roles and teams by their `id`. The roles whose last `run` has not come to its end: it is under way, has failed or was
# cancelled.
_unfinished: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
# The roles that go on in the middle of their actions.
_resumed: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
# The teams that were read back and have not been told their idea again.
_recovered: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


class _StateOfRun(int):
    """A state that a role has chosen in its run; one that user code has set is an ``int``. Copies and pickles of the
    role keep the difference."""


def patch_roles(module: ModuleType) -> None:
    """Makes `metagpt.roles.role.Role.run` note whether it came to its end, and `Role._think` go on in the middle of
    several actions that are taken by order."""

    def wrap_run(stock: Any) -> Any:
        async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            _unfinished[id(self)] = self
            # A run that failed has left its state behind, from which the next message would be taken up.
            if isinstance(self.rc.state, _StateOfRun) and _acts_by_order(self) and not self.recovered:
                self.rc.state = -1
            result = await stock(self, *args, **kwargs)
            _unfinished.pop(id(self), None)
            return result

        return run

    def wrap_think(stock: Any) -> Any:
        async def think(self: Any) -> Any:
            if not _acts_by_order(self):
                return await stock(self)
            if self.recovered:
                _put_before_results(self)
                _resumed[id(self)] = self
            elif self.rc.state + 1 >= len(self.actions) and _resumed.pop(id(self), None) is self:
                # MetaGPT takes as many actions as the role has, from wherever it begins.
                return False
            try:
                return await stock(self)
            finally:
                self.rc.state = _StateOfRun(self.rc.state)

        return think

    replace_function(module.Role, "run", wrap_run)
    replace_function(module.Role, "_think", wrap_think)


def _acts_by_order(role: Any) -> bool:
    return role.rc.react_mode == "by_order" and len(role.actions) > 1 and is_switched_on(_NAME, role.llm)


def patch_context_sums(module: ModuleType) -> None:
    """Makes `metagpt.context.Context.deserialize` take over the sums of tokens, which it reads and drops."""

    def wrap(stock: Any) -> Any:
        def deserialize(self: Any, serialized_data: Any) -> Any:
            result = stock(self, serialized_data)
            sums = (serialized_data or {}).get("cost_manager")
            if sums and llm_of_config(_NAME, self.config.llm) is not None:
                values = json.loads(sums)
                for name in _SUMS:
                    setattr(self.cost_manager, name, values.get(name, 0))
            return result

        return deserialize

    replace_function(module.Context, "deserialize", wrap)


def patch_team_files(module: ModuleType) -> None:
    """Makes `metagpt.team.Team` write what its roles have still to read, and go on with it when it is read back."""
    replace_function(module.Team, "__init__", _wrap_team_init)
    replace_function(module.Team, "serialize", _wrap_team_serialize)
    replace_function(module.Team, "run_project", _wrap_run_project)
    replace_function(module.Team, "run", _wrap_team_run)


def _wrap_team_init(stock: Any) -> Any:
    def init(self: Any, context: Any = None, **data: Any) -> None:
        unread = data.pop(_UNREAD, None)
        # Only `deserialize` passes an environment that is a dict.
        if context is None or not isinstance(data.get("env"), dict) or not _acts_in(context):
            stock(self, context, **data)
            return
        roles = data["env"].get("roles", {})
        data["env"] = _with_context(data["env"], context)
        stock(self, context, **data)
        _restore_plans(self, roles)
        _deliver(self, unread or {})
        _recovered[id(self)] = self

    return init


def _wrap_team_serialize(stock: Any) -> Any:
    def serialize(self: Any, stg_path: Any = None) -> Any:
        if not _acts_for(self):
            return stock(self, stg_path)
        with all_field_types():
            result = stock(self, stg_path)
            module: Any = sys.modules["metagpt.team"]
            file = (module.SERDESER_PATH / "team" if stg_path is None else Path(stg_path)) / "team.json"
            data = module.read_json_file(file)
            data[_UNREAD] = {}
            for key, role in self.env.roles.items():
                unread = [*_take_back_read(role, data["env"]["roles"][key]), *_buffered(role)]
                data[_UNREAD][key] = [json.loads(message.model_dump_json()) for message in unread]
            module.write_json_file(file, data)
        return result

    return serialize


def _wrap_run_project(stock: Any) -> Any:
    def run_project(self: Any, idea: Any, *args: Any, **kwargs: Any) -> Any:
        recovered = _recovered.pop(id(self), None) is self
        if recovered and idea == self.idea and not self.env.is_idle:
            logger.info("The team was recovered and goes on where it was stopped: its idea is not published again.")
            return None
        return stock(self, idea, *args, **kwargs)

    return run_project


def _wrap_team_run(stock: Any) -> Any:
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await stock(self, *args, **kwargs)
        except asyncio.CancelledError:
            if _acts_for(self):
                logger.error("The run was cancelled: start to serialize the project")
                try:
                    self.serialize()
                except Exception as error:
                    logger.error(f"The project cannot be serialized: {error}")
            raise

    return run


def _acts_in(context: Any) -> bool:
    return llm_of_config(_NAME, context.config.llm) is not None


def _acts_for(team: Any) -> bool:
    roles = team.env.roles.values() if team.env else ()
    return any(is_switched_on(_NAME, role.private_llm) for role in roles if role.private_llm is not None)


def _with_context(env: dict[str, Any], context: Any) -> dict[str, Any]:
    """The data of an environment, which gives it, its roles and their actions the context when they are made of it."""
    roles = {
        key: {**role, "context": context, "actions": [{**each, "context": context} for each in role.get("actions", ())]}
        for key, role in env.get("roles", {}).items()
    }
    return {**env, "context": context, "roles": roles}


def _restore_plans(team: Any, roles: dict[str, Any]) -> None:
    """Gives roles back their plans: those that make plans begin with an empty one whenever they are made."""
    for key, data in roles.items():
        plan = getattr(getattr(team.env.roles.get(key), "planner", None), "plan", None)
        written = (data.get("planner") or {}).get("plan") or {}
        # A goal without tasks is a plan that was not finished.
        if plan is None or not written.get("tasks"):
            continue
        restored = type(plan)(**written)
        # In place, because the role's tools are methods of this object.
        for name in type(plan).model_fields:
            setattr(plan, name, getattr(restored, name))
        # Both have the same tasks, so that one that is finished is finished in both.
        plan.task_map = {task.task_id: task for task in plan.tasks}


def _deliver(team: Any, unread: dict[str, Any]) -> None:
    message_class = vars(sys.modules["metagpt.team"])["Message"]
    for key, messages in unread.items():
        role = team.env.roles.get(key)
        for message in messages if role is not None else ():
            role.put_message(message_class(**message))


def _buffered(role: Any) -> list[Any]:
    """The messages that a role has received and not read; they stay in its buffer."""
    messages: list[Any] = role.rc.msg_buffer.pop_all()
    for message in messages:
        role.rc.msg_buffer.push(message)
    return messages


def _take_back_read(role: Any, data: dict[str, Any]) -> list[Any]:
    """The message in whose middle a role was stopped, as a list, and takes it out of the memory in the role's data:
    what a role remembers it takes for done."""
    is_unfinished = _unfinished.get(id(role)) is role
    if not is_unfinished:
        return []
    message = role.latest_observed_msg or _last_watched(role)
    if message is None:
        return []
    memory = data["rc"]["memory"]
    memory["storage"] = _without_message(message, memory["storage"])
    memory["index"] = {cause: _without_message(message, messages) for cause, messages in memory["index"].items()}
    return [message]


def _without_message(message: Any, dumped: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # In some memories all messages have one id.
    return [each for each in dumped if (each["id"], each["content"]) != (message.id, message.content)]


def _last_watched(role: Any) -> Any:
    """The last message in a role's memory that others have sent it; a role may look for more while it is at work."""
    remembered: Iterable[Any] = reversed(role.rc.memory.storage)
    return next((each for each in remembered if each.cause_by in role.rc.watch or role.name in each.send_to), None)


def _put_before_results(role: Any) -> None:
    """Moves the message that a recovered role has read again, the last one of its memory, before the results of the
    actions that it has taken for it."""
    storage = role.rc.memory.storage
    actions = {f"{type(action).__module__}.{type(action).__name__}" for action in role.actions}
    at = len(storage) - 1
    first = max(at - role.rc.state, 0)
    if at > 0 and storage[at] == role.latest_observed_msg:
        while at > first and storage[at - 1].cause_by in actions:
            at -= 1
        storage.insert(at, storage.pop())
