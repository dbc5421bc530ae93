"""What the documents point at exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            found = (document.parent / path) if path else document
            assert found.exists(), f"{document.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", found.read_text(), flags=re.MULTILINE)
                assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_every_test_that_the_page_on_asyncua_names_is_there():
    text = (ROOT / "docs" / "asyncua.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > 12
    for path, name in named:
        file = ROOT / (path if path.startswith("tests/") else f"tests/integration/{path}")
        assert re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE), (path, name)


def test_every_command_of_the_readme_is_one():
    """`trimtab X` in a code line of the README is answered by --help."""
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line[:4] == "    "]
    commands = {match[1] for line in lines if (match := re.search(r"\btrimtab ([a-z]+)", line))}
    assert {"run", "check", "shadow", "tags"} <= commands
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "controller.cli", command, "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_every_target_of_the_makefile_that_the_readme_names_is_there():
    named = set(re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text()))
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test", "train", "contracts"} <= named
    assert named <= there
