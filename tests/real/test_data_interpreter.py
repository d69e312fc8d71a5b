"""MetaGPT's own DataInterpreter calls a tool of this package in its notebook, and goes on with what the tool returned.

The model behind both, the role and the tool, is the same scripted server, which the process and the notebook's kernel
find in the same `config2.yaml`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply

DOUBLE = "def double(number):\n    return number * 2\n"
PLAN = [
    {"task_id": "1", "dependent_task_ids": [], "instruction": "Generate code for double", "task_type": "other"},
    {"task_id": "2", "dependent_task_ids": ["1"], "instruction": "Call double with 21", "task_type": "other"},
]
# What the role's model writes into the notebook, as MetaGPT's prompt asks: imported from the tool's path.
CALL = """\
from metagpt.tools.libs.slc import CodeGenerationTool
code = CodeGenerationTool.generate_code("A function double(number).")
print(code)
"""
USE = "exec(code)\nprint('doubled:', double(21))\n"


@pytest.mark.timeout(400)
def test_the_data_interpreter_calls_a_tool_and_goes_on_with_its_answer(environment, ollama_server):
    asked = []

    def chat(request):
        body = request.json()
        prompt = body["messages"][-1]["content"]
        if "Recommend up to" in prompt:
            asked.append(("tools", prompt))
            answer = '```json\n["CodeGenerationTool"]\n```'
        elif "A plan consists of" in prompt:
            asked.append(("plan", prompt))
            answer = f"```json\n{json.dumps(PLAN)}\n```"
        else:
            # Once the tool has returned its text, the role does its second task.
            code = USE if any("return number * 2" in message["content"] for message in body["messages"]) else CALL
            asked.append(("code", prompt))
            answer = f"```python\n{code}```"
        return Reply.chat(answer, stream=body["stream"])

    def generate(request):
        asked.append(("tool", request.json()["prompt"]))
        return Reply.generate(f"Here it is:\n```python\n{DOUBLE}```\n", stream=request.json()["stream"])

    ollama_server.on("POST", "/api/chat", chat)
    ollama_server.on("POST", "/api/generate", generate)
    environment.configure(
        f"llm:\n  api_type: ollama\n  base_url: {ollama_server.url}\n  api_key: ''\n  model: scripted\n"
    )
    script = Path(__file__).with_name("data_interpreter.py")
    done = environment.run("python", script, "CodeGenerationTool", "SmartQATool", seconds=350)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert [kind for kind, _ in asked] == ["plan", "tools", "code", "tool", "tools", "code"], done.stderr[-3000:]
    assert [task["done"] for task in told["tasks"]] == [True, True]
    assert DOUBLE.strip() in told["tasks"][0]["result"]
    assert "doubled: 42" in told["tasks"][1]["result"]
    assert told["paths"] == dict.fromkeys(["CodeGenerationTool", "SmartQATool"], "metagpt/tools/libs/slc.py")
    assert "A function double(number)." in asked[3][1]
    # Its model reads the schema of the tool that was chosen, and of no other.
    shown = asked[2][1]
    assert "'tool_path': 'metagpt/tools/libs/slc.py'" in shown
    assert "'generate_code': {'type': 'function', 'description': 'Writes a program" in shown
    assert "SmartQATool" not in shown
    # Registering it has written no schema below MetaGPT's root.
    assert not list(environment.home.rglob("*CodeGenerationTool*"))
