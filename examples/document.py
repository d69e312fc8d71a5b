"""Documents the Python files of a folder: one page of Markdown for each, and an overview of all.

    python examples/document.py FOLDER [--output FOLDER-docs] [--model NAME]

A page that is newer than its file is left as it is, so that the same command goes on after Ctrl-C, and later renews
what has changed. It asks the Ollama at OLLAMA_HOST, and needs `pip install 'metagpt-ollama-rs[slc]'`. A file that
fails is reported, and the others go on; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from metagpt_ollama_rs import Client, OllamaError
from metagpt_ollama_rs.slc import CodeUnderstandingTool, ollama_config


def chat_model(client: Client) -> str:
    """A model that can chat, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "completion" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no chat model.\nhint: ollama pull qwen2.5:7b")


def document(file: Path, page: Path) -> None:
    """Writes the page of a file, unless there is a newer one."""
    code = file.read_text(encoding="utf-8")
    if code.strip() and not (page.exists() and page.stat().st_mtime > file.stat().st_mtime):
        text = CodeUnderstandingTool.generate_docs(code)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text + "\n", encoding="utf-8")
        print(page, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Documents the Python files of a folder.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: beside it, FOLDER-docs")
    parser.add_argument("--model", help="default: one that the server has and that can chat")
    options = parser.parse_args()
    folder = options.folder.resolve()
    output = options.output or folder.with_name(f"{folder.name}-docs")
    # What is hidden, such as `.venv`, is somebody else's.
    files = [
        file
        for file in sorted(folder.rglob("*.py"))
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    failed = False
    try:
        with Client(ollama_config.base_url, api_key=ollama_config.api_key) as client:
            ollama_config.model = options.model or chat_model(client)
        for file in files:
            try:
                document(file, output / file.relative_to(folder).with_suffix(".md"))
            except ConnectionError:
                raise
            except (OllamaError, OSError, UnicodeDecodeError) as error:
                print(f"{file}: {error}", file=sys.stderr)
                failed = True
        overview = CodeUnderstandingTool.summarize_project(folder)
        output.mkdir(parents=True, exist_ok=True)
        (output / "README.md").write_text(overview + "\n", encoding="utf-8")
    except (OllamaError, OSError) as error:
        raise SystemExit(str(error)) from error
    print(output / "README.md")
    sys.exit(failed)


if __name__ == "__main__":
    main()
