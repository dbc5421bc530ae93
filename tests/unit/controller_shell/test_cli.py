"""The command line: quick help, exit codes, messages instead of tracebacks, no torch."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from controller.cli import main

COMMANDS = (
    "run",
    "shadow",
    "check",
    "tags",
    "journal",
    "certs",
    "demo",
    "hmi",
    "monitor",
    "version",
)


def command(*argv: str, blocked: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    blocks = "".join(f"sys.modules[{name!r}] = None; " for name in blocked)
    code = f"import sys; {blocks}from controller.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_names_every_command_without_loading_what_is_heavy():
    heavy = ("torch", "asyncua", "apscheduler", "prometheus_client", "numba", "scipy", "matplotlib")
    shown = command("--help", blocked=heavy)
    assert shown.returncode == 0, shown.stderr
    for name in COMMANDS:
        assert name in shown.stdout


QUICK = {
    "annotated_doc", "annotated_types", "click", "controller", "markdown_it", "mdurl", "models",
    "numpy", "pydantic", "pydantic_core", "pygments", "rich", "shellingham", "typer",
    "typing_extensions", "typing_inspection",
}  # fmt: skip
"""What the command line loads; the rest waits for the command that needs it."""
INSTALLED = {"__main__", "_distutils_hack", "_editable_impl_trimtab", "_virtualenv", "editables"}
"""What an installation puts there before a program begins."""
MOST_MODULES = 650
"""554 when this was written, 0.4 s of CPU; a package that is heavy brings hundreds."""


def test_help_loads_little_and_so_is_quick():
    """Modules, not seconds: the machine may be busy with other tests."""
    code = (
        "import atexit, sys\n"
        "def tell():\n"
        "    print(*sys.modules, sep='\\n', file=sys.stderr)\n"
        "atexit.register(tell)\n"
        "from controller.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    loaded = done.stderr.split()
    roots = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    stray = {name for name in roots if not name.startswith("_sysconfigdata")}
    assert stray - INSTALLED <= QUICK
    assert {"controller", "typer"} <= stray, "the modules were told"
    assert len(loaded) < MOST_MODULES


@pytest.mark.parametrize(
    "module",
    [
        "service",
        "commissioning.check",
        "commissioning.browse",
        "commissioning.certs_command",
        "commissioning.certs_table",
        "journal.view",
        "cycle",
        "opcua.link",
        "startup",
        "demo.command",
        "monitoring.command",
        "monitoring.session",
        "hmi.command",
        "hmi.server",
    ],
)
def test_no_module_needs_torch_gymnasium_or_the_plant(module):
    code = (
        "import sys\n"
        "for name in ('torch', 'gymnasium', 'plant_sim'): sys.modules[name] = None\n"
        f"import controller.{module}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def run(*argv: str):
    result = CliRunner().invoke(main, list(argv))
    assert "Traceback" not in result.output
    return result


def test_version():
    result = run("version")
    assert result.exit_code == 0
    assert result.output.startswith("trimtab 0.")


@pytest.mark.parametrize("name", ["run", "shadow", "check"])
def test_a_configuration_that_is_not_there_is_named(name, tmp_path):
    result = run(name, "--config", str(tmp_path / "none.toml"))
    assert result.exit_code == 2
    assert "none.toml" in result.output


@pytest.mark.parametrize("name", ["run", "shadow", "check"])
def test_a_bundle_that_is_not_there_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_PASSWORD", "secret-enough")
    result = run(name, "--bundle", str(tmp_path))
    assert result.exit_code == 3
    assert "manifest.json" in result.output


def test_a_wrong_key_says_what_it_was_meant_to_be(tmp_path):
    config = tmp_path / "controller.toml"
    config.write_text("[scan]\nperiod_s = 1.0\ndeadline_fracton = 0.5\n", encoding="utf-8")
    result = run("run", "--config", str(config))
    assert result.exit_code == 2
    assert "deadline_fraction" in result.output


def test_browsing_nothing_writes_nothing(tmp_path):
    out = tmp_path / "tags.toml"
    result = run(
        "tags", "browse", "--url", "opc.tcp://127.0.0.1:9", "--insecure", "--out", str(out)
    )
    assert result.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_browsing_never_overwrites_unasked(tmp_path):
    out = tmp_path / "tags.toml"
    out.write_text("mine", encoding="utf-8")
    result = run(
        "tags", "browse", "--url", "opc.tcp://127.0.0.1:9", "--insecure", "--out", str(out)
    )
    assert result.exit_code == 2
    assert out.read_text(encoding="utf-8") == "mine"


def test_a_url_that_is_none_is_a_configuration_error():
    result = run("tags", "browse", "--url", "http://x")
    assert result.exit_code == 2
    assert "opc.tcp://" in result.output


def test_a_journal_that_is_not_there_is_named(tmp_path):
    result = run("journal", "show", "--db", str(tmp_path / "none.db"))
    assert result.exit_code == 2
    assert "none.db" in result.output
