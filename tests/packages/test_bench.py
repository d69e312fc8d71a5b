"""The bench of the packages runs once on small input, so that it does not rot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_the_bench_measures_a_package_and_writes_its_row_into_a_page(tmp_path):
    if not (ROOT / "target" / "packages" / "autogen" / ".done").exists():
        pytest.skip("the package is not there: `make target/packages/autogen/.done` fetches it")
    numbers, page = tmp_path / "numbers.json", tmp_path / "page.zh.md"
    page.write_text(
        "# 页\n\n<!-- 软件包，由 benches.packages 写入 -->\nold\n<!-- 软件包到此为止 -->\n\nafter\n", encoding="utf-8"
    )
    options = ["--quick", "--only", "autogen", "--results", numbers, "--into", page]
    done = subprocess.run(
        [sys.executable, "-m", "benches.packages", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [row] = json.loads(numbers.read_text(encoding="utf-8"))
    assert row["package"] == "autogen-ext"
    assert all(cost > 0 for cost in row["real"] + row["ours"])
    written = f"| `autogen-ext` {row['version']} | `OllamaChatCompletionClient.create_stream` | `burst` |"
    assert written in done.stdout
    text = page.read_text(encoding="utf-8")
    assert written in text
    assert "| 软件包 |" in text
    assert "old" not in text
    assert text.startswith("# 页\n")
    assert text.endswith("\n\nafter\n")
