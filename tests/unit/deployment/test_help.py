"""The manual that every command carries: help of a man page's worth, and completion."""

import inspect
import itertools
import os
import re
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from controller.cli import main as controller_app
from models.cli import app as models_app
from plant_sim.cli import main as plant_app

APPS = {"trimtab": controller_app, "trimtab-plant": plant_app, "trimtab-models": models_app}
MODULES = {
    "trimtab": "from controller.cli import main",
    "trimtab-plant": "from plant_sim.cli import main",
    "trimtab-models": "from models.cli import main",
}
TERMINAL = 80
UNIT = re.compile(r"\b(plant )?(seconds?|hours?|days?|bits|minutes?)\b")


def tree(command, path):
    """Every command below one, itself included: (words, command)."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, (*path, name))


COMMANDS = [
    pytest.param(path, command, id=" ".join(path))
    for program, app in APPS.items()
    for path, command in tree(get_command(app), (program,))
]
LEAVES = [param for param in COMMANDS if not getattr(param.values[1], "commands", None)]
OPTIONS = [
    pytest.param(option, id=" ".join([*param.values[0], option.name]))
    for param in COMMANDS
    for option in param.values[1].params
]


def shown(path):
    program, *words = path
    result = CliRunner().invoke(
        APPS[program], [*words, "--help"], prog_name=program, env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0
    return result.output


def test_every_program_has_commands():
    for program in APPS:
        assert sum(param.values[0][0] == program for param in LEAVES) >= 6, program


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_every_command_tells_what_it_does_and_gives_an_example(path, command):
    text = inspect.cleandoc(command.help)
    first = text.split("\n\n")[0].replace("\n", " ")
    assert re.fullmatch(r"[A-Z].*[.]", first), first
    _, rest = re.split(r"^Examples?:\n", text, maxsplit=1, flags=re.MULTILINE)
    examples = rest.split("\n\n")[0].splitlines()
    assert all(line.startswith("  ") for line in examples)
    assert any(" ".join(path) in line for line in examples), examples


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_nothing_of_the_text_is_lost_on_the_way_to_the_terminal(path, command):
    """Rich takes words in square brackets for markup and drops them."""
    words = " ".join(shown(path).split())
    for line in inspect.cleandoc(command.help).splitlines():
        assert " ".join(line.split()) in words
    flat = re.sub(r"[│╭╮╰╯─\s]+", "", shown(path))
    for option in command.params:
        assert re.sub(r"\s+", "", option.help or "") in flat, option.name


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_what_is_set_out_in_lines_fits_the_terminal(path, command):
    for line in inspect.cleandoc(command.help).splitlines():
        if line.startswith("  "):
            assert len(line) <= TERMINAL - 2, (path, line)


@pytest.mark.parametrize(("path", "command"), LEAVES)
def test_every_command_that_can_fail_tells_its_exit_codes(path, command):
    harmless = {("trimtab", "version"), ("trimtab-plant", "scenarios"), ("trimtab-plant", "tags"),
                ("trimtab-models", "recipes")}  # fmt: skip
    assert ("Exit codes:" in command.help) == (path not in harmless)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_told_with_its_default_and_its_unit(option):
    text = option.help or ""
    assert text, "no help"
    switch = getattr(option, "is_flag", False)
    if option.default is None and not option.required and not switch:
        told = r"[Dd]efault|or give|may be repeated|Needed|[Cc]ompletion|completion"
        assert re.search(told, text), f"{text!r} does not tell the default"
    if "float" in str(option.type_descriptor).lower():
        assert UNIT.search(text), f"{text!r} does not tell the unit"


@pytest.mark.parametrize("program", APPS)
def test_the_programs_own_help_tells_exit_codes(program):
    text = get_command(APPS[program]).help
    assert "\nExit codes:\n" in text
    for code in re.findall(r"^  (\d+)  ", text, flags=re.MULTILINE):
        assert int(code) in {0, 1, 2, 3, 4, 130}


def example_commands():
    for param in COMMANDS:
        _, command = param.values
        text = inspect.cleandoc(command.help).replace("\\\n", " ")
        for line in re.findall(r"^ +((?:TRIMTAB_\S+=\S+ )*trimtab\b.*)$", text, re.MULTILINE):
            yield pytest.param(line, id=line[:70])


def test_the_examples_are_found():
    assert len(list(example_commands())) > 45


@pytest.mark.parametrize("line", list(example_commands()))
def test_every_example_parses(line):
    """The real parser takes it; nothing is run.  Two blanks end the command: a remark follows."""
    words = re.sub(r"(?<=\S)  +(?=[^-\s]).*", "", re.sub(r"\s+(?=--)", " ", line)).split()
    words = list(itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    context, command = None, get_command(APPS[words[0]])
    rest = words[1:]
    while True:
        context = command.make_context(words[0], list(rest), parent=context)
        if not hasattr(command, "commands"):
            break
        name, command, rest = command.resolve_command(context, list(rest))
        assert command is not None, name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", APPS)
def test_a_completion_script_is_printed(program, shell):
    done = run(program, {f"_{program.replace('-', '_').upper()}_COMPLETE": f"source_{shell}"})
    assert done.returncode == 0, done.stderr
    assert program in done.stdout
    assert f"complete_{shell}" in done.stdout


@pytest.mark.parametrize(
    ("program", "typed", "offered"),
    [
        ("trimtab", "trimtab jour", {"journal"}),
        ("trimtab", "trimtab certs ", {"init", "renew", "show", "trust"}),
        ("trimtab", "trimtab run --in", {"--insecure"}),
        ("trimtab-plant", "trimtab-plant serve --heart", {"--heartbeat-timeout"}),
        ("trimtab-models", "trimtab-models ev", {"evaluate"}),
    ],
)
def test_bash_is_offered_what_begins_so(program, typed, offered):
    words = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
        f"_{program.replace('-', '_').upper()}_COMPLETE": "complete_bash",
    }
    done = run(program, words)
    assert set(done.stdout.split()) == offered, done.stderr


def test_bash_completes_a_command_with_the_script(tmp_path):
    """The script is read by a real bash, and its function asked as the Tab key would."""
    (tmp_path / "completion").write_text(
        run("trimtab", {"_TRIMTAB_COMPLETE": "source_bash"}).stdout
    )
    program = tmp_path / "trimtab"
    program.write_text(f"#!{sys.executable}\n{MODULES['trimtab']}\nmain()\n")
    program.chmod(0o755)
    typed = """
source ./completion
COMP_WORDS=(trimtab jo) COMP_CWORD=1
_trimtab_completion ./trimtab jo trimtab
printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", typed], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.stdout.split(), done.stderr) == (["journal"], "")


@pytest.mark.parametrize("program", APPS)
def test_help_loads_nothing_heavy(program):
    heavy = ["torch", "asyncua", "scipy", "matplotlib", "numba", "polars", "casadi"]
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in heavy)
    code = f"import sys; {blocked}{MODULES[program]}; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def run(program, environment):
    code = f"import sys; {MODULES[program]}; sys.argv[0] = {program!r}; main()"
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
