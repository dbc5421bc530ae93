"""docs/connecting.md, run as it is written: every command, in its order, with the outcome shown."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.processes import free_port
from tests.support.waiting import until

PAGE = Path(__file__).parents[4] / "docs" / "connecting.md"
BLOCK = re.compile(
    r"^```(console|toml (?:file|edit of|excerpt of) \S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
EXIT = re.compile(r"exit code (\d+)")
LASTING = ("trimtab-plant serve", "trimtab shadow", "trimtab run")
ANSWER_S = 90.0


@dataclass
class Step:
    """A command, the lines that its answer must have, and its exit code."""

    command: str
    lines: list[str] = field(default_factory=list)
    code: int = 0


def steps(block: str) -> list[Step]:
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ ") or line == "^C":
            found.append(Step(line.removeprefix("$ ")))
        elif told := EXIT.fullmatch(line):
            found[-1].code = int(told[1])
        elif line.strip():
            found[-1].lines.append(line)
    return found


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def pattern(line: str) -> str:
    """A line of the page as a pattern: blanks are any blanks, "..." is anything."""
    return ".*?".join(re.escape(flat(part).strip()) for part in line.split("..."))


def assert_answered(step: Step, text: str) -> None:
    answer = [flat(line) for line in text.splitlines()]
    for line in step.lines:
        told = any(re.search(pattern(line), said) for said in answer)
        assert told, f"{step.command}\nlacks: {line}\nsays:\n{text}"


def edited(text: str, changes: str) -> str:
    """A TOML file with the keys of these tables replaced or added, as in an editor."""
    lines, table = text.splitlines(), ""
    for change in changes.splitlines():
        if change.startswith("["):
            table = change
        elif change:
            key = change.partition(" = ")[0]
            first = lines.index(table) + 1
            tables = (i for i in range(first, len(lines)) if lines[i].startswith("["))
            last = next(tables, len(lines))
            own = [line for line in lines[first:last] if not line.startswith(f"{key} = ")]
            lines[first:last] = [change, *own]
    return "\n".join(lines) + "\n"


class Terminals:
    """The terminals of the page: those of commands that last, and one for the others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[tuple[subprocess.Popen, Path]] = []
        self.port = free_port()
        self.environment = {
            **{key: value for key, value in os.environ.items() if key[:8] != "TRIMTAB_"},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "500",
            "NO_COLOR": "1",
            "TRIMTAB_METRICS__PORT": "0",
        }

    def here(self, text: str) -> str:
        return text.replace("4840", str(self.port))

    async def run(self, step: Step) -> None:
        if step.command == "^C":
            await self.interrupt()
        elif step.command.startswith(LASTING):
            await self.start(step)
        else:
            await self.ask(step)

    async def ask(self, step: Step) -> None:
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", self.here(step.command)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
        text = (done.stdout + done.stderr).decode()
        assert "Traceback" not in text, text
        assert done.returncode == step.code, f"{step.command}: {done.returncode}\n{text}"
        here = Step(step.command, [self.here(line) for line in step.lines])
        assert_answered(here, text)

    async def start(self, step: Step) -> None:
        log = self.folder / f"terminal{len(self.running)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                ["bash", "-c", f"exec {self.here(step.command)}"],
                cwd=self.folder, env=self.environment, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.running.append((process, log))

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return self.up(step, log)

        await until(up, ANSWER_S, step.command)
        here = [self.here(line) for line in step.lines]
        assert_answered(Step(step.command, here), log.read_text())

    def up(self, step: Step, log: Path) -> bool:
        if step.lines:
            return "trimtab ready" in log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def interrupt(self) -> None:
        process, log = self.running.pop()
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 30.0) == 0, log.read_text()
        assert "Traceback" not in log.read_text()


@pytest.fixture
def terminals(tmp_path):
    opened = Terminals(tmp_path)
    yield opened
    for process, _ in opened.running:
        process.kill()
        process.wait()


def act_of(kind: str, body: str, terminals: Terminals) -> None:
    """What a person does in the editor."""
    *_, name = kind.split()
    path = terminals.folder / name
    if " file " in kind:
        path.write_text(terminals.here(body), encoding="utf-8")
    elif " edit of " in kind:
        path.write_text(edited(path.read_text(encoding="utf-8"), body), encoding="utf-8")
    else:
        assert_answered(Step(name, body.splitlines()), path.read_text(encoding="utf-8"))


@pytest.mark.timeout(400)
async def test_the_page_is_true(terminals):
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert sum(kind == "console" for kind, _ in blocks) >= 12
    for kind, body in blocks:
        if kind == "console":
            for step in steps(body):
                await terminals.run(step)
                if step.command.startswith(("trimtab shadow", "trimtab run")):
                    await asyncio.sleep(1.0)  # some scans, as a person would leave it
        else:
            act_of(kind, body, terminals)
    assert len(terminals.running) == 1, "the plant alone"


def test_every_console_block_is_read():
    """A block that the pattern above misses would be true by silence."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(BLOCK.findall(text))
    assert not re.search(r"(?m)^    \S", text), "commands stand in console blocks"


def test_an_edit_replaces_a_key_of_its_own_table_only():
    text = 'a = 1\n\n[cv.A]\nunit = "K"\nrange = [0, 1]\n\n[cv.B]\nrange = [0, 2]\n'
    changed = tomllib.loads(edited(text, "[cv.A]\nrange = [5, 6]\nmax_step = 2\n[cv.B]\nx = 1\n"))
    assert changed["cv"]["A"] == {"unit": "K", "range": [5, 6], "max_step": 2}
    assert changed["cv"]["B"] == {"range": [0, 2], "x": 1}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a.pv  ok  Double; now ...", "  a.pv    ok   Double; now 3.2 = 5 K"),
        ("exit ... b", "exit 4 of b"),
    ],
)
def test_an_answer_is_held_against_the_page(line, told):
    assert_answered(Step("x", [line]), f"first\n{told}\nlast")
    for other in (told.replace("b", "c").replace("ok", "WRONG HERE"), told.replace(" ", "\n", 3)):
        with pytest.raises(AssertionError, match="lacks"):
            assert_answered(Step("x", [line]), f"first\n{other}\nlast")
