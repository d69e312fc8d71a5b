"""Reviews source files and prints what the model finds, a line for each finding, as compilers do.

    python examples/review.py FILE [FILE ...] [--language zh] [--model NAME]

`FILE:LINE: SEVERITY: TEXT` is what editors jump to. It asks the Ollama at OLLAMA_HOST. The exit code is 1 if a file
could not be reviewed, or if a finding is an error. (`metagpt-ollama tool review` does the same and more.)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from metagpt_ollama_rs import Client, OllamaError
from metagpt_ollama_rs.slc import SmartQATool, ollama_config


def chat_model(client: Client) -> str:
    """A model that can chat, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "completion" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no chat model.\nhint: ollama pull qwen2.5:7b")


def main() -> None:
    parser = argparse.ArgumentParser(description="Reviews source files.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="source code in any language, UTF-8")
    parser.add_argument("--language", choices=("zh", "en"), help="that of the findings; default: that of the comments")
    parser.add_argument("--model", help="default: one that the server has and that can chat")
    options = parser.parse_args()
    try:
        with Client(ollama_config.base_url, api_key=ollama_config.api_key) as client:
            ollama_config.model = options.model or chat_model(client)
    except OllamaError as error:
        raise SystemExit(str(error)) from error
    bad = False
    for file in options.files:
        try:
            code = file.read_text(encoding="utf-8")
            findings = SmartQATool.code_review_findings(code, language=options.language)
        except ConnectionError as error:
            raise SystemExit(str(error)) from error
        except (OllamaError, OSError, UnicodeDecodeError) as error:
            print(f"{file}: {error}", file=sys.stderr)
            bad = True
            continue
        for finding in findings:
            print(f"{file}:{finding.line}: {finding.severity}: {finding.text}", flush=True)
            bad = bad or finding.severity == "error"
        if findings.dropped:
            print(f"{file}: {findings.dropped} findings about lines that do not exist", file=sys.stderr)
    sys.exit(bad)


if __name__ == "__main__":
    main()
