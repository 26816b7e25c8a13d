"""What the documents show, works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_CODE = sorted(path.name for path in DOCS.glob("*.md") if BLOCK.search(path.read_text()))


@pytest.mark.parametrize("name", WITH_CODE)
def test_the_python_blocks_of_the_page_run_one_after_the_other(name):
    blocks = BLOCK.findall((DOCS / name).read_text())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_links_of_the_page_lead_somewhere(name):
    links = re.findall(r"\]\((?!http)([^)#]+)", (DOCS / name).read_text())
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_the_page_of_metrics_names_every_family():
    from holdfast.telemetry.families import FAMILIES

    page = (DOCS / "metrics.md").read_text()
    for family in FAMILIES:
        short = "_".join(family.name.split("_")[2:])
        assert family.name in page or f"…_{short}" in page, family.name
