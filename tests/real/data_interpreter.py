"""MetaGPT's own DataInterpreter with the tools that are named on the command line; the last line says what it did.

Nothing here imports this package: MetaGPT is switched over, which lists the tools.
"""

from __future__ import annotations

import asyncio
import json
import sys

from metagpt.roles.di.data_interpreter import DataInterpreter


async def main(tools: list[str]) -> None:
    role = DataInterpreter(tools=tools)
    await role.run("Write a function that doubles a number, and double 21 with it.")
    tasks = [{"result": task.result, "done": task.is_finished} for task in role.planner.plan.tasks]
    paths = {name: tool.schemas["tool_path"] for name, tool in role.tool_recommender.tools.items()}
    print()
    print(json.dumps({"tasks": tasks, "paths": paths}))


asyncio.run(main(sys.argv[1:]))
