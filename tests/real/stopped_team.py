"""A team of three that takes notes, checks and signs them. `test_recovery.py` runs this as a process and stops it.

    python stopped_team.py new FOLDER         writes the team to FOLDER after its first round, and goes on
    python stopped_team.py recovered FOLDER   reads it and goes on, as `metagpt --recover-path` does

Nothing here imports this package's provider: MetaGPT is switched over. The new team also pickles an LLM object, which
the process that comes to its end asks. The last line says what happened.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from pathlib import Path

from metagpt.actions import Action, UserRequirement
from metagpt.context import Context
from metagpt.roles import Role
from metagpt.roles.role import RoleReactMode
from metagpt.team import Team

IDEA = "the sea"


class Note(Action):
    name: str = "Note"

    async def run(self, history):
        return await self._aask(f"Note: {history[-1].content}")


class Check(Action):
    name: str = "Check"

    async def run(self, history):
        return await self._aask(f"Check: {history[-1].content}")


class Sign(Action):
    name: str = "Sign"

    async def run(self, history):
        return await self._aask(f"Sign: {history[-1].content}")


class Noter(Role):
    name: str = "Nora"
    profile: str = "Noter"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Note])
        self._watch([UserRequirement])


class Checker(Role):
    name: str = "Chris"
    profile: str = "Checker"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Check, Sign])
        self._set_react_mode(RoleReactMode.BY_ORDER)
        self._watch([Note])


def main(state: str, folder: Path) -> None:
    context = Context()
    pickled = Path("llm.pickle")
    if state == "new":
        team = Team(context=context)
        team.hire([Noter(context=context), Checker(context=context)])
        team.run_project(IDEA)
        asyncio.run(team.run(n_round=1))
        team.serialize(folder)
        pickled.write_bytes(pickle.dumps(team.env.roles["Noter"].llm))
    else:
        team = Team.deserialize(folder, context=context)
        team.invest(3.0)
        team.run_project(team.idea)
    history = asyncio.run(team.run(n_round=3))
    costs = context.cost_manager.get_costs()
    answer = asyncio.run(pickle.loads(pickled.read_bytes()).aask("Ping"))
    print(json.dumps({"history": str(history), "costs": costs, "answer": answer}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
