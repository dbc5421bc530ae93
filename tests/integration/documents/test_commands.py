"""Every command of README.md and docs/ is run, or it is said why not and what is checked instead.

A command that no rule below covers fails, and so does a rule that covers none.  Commands are the
lines of `sh` blocks, what follows "$ " in `console` blocks, and lines of indented blocks that begin
with a program.  They run in a copy of a folder that a soft plant, a controller's settings and a
journal lie in, with the addresses and folders of that copy in place of those of the page.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from controller.cli import main as controller_app
from controller.configuration.settings import default_config_dir
from models.cli import app as models_app
from plant_sim.cli import main as plant_app

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = {
    ROOT / "docs/connecting.md": "tests/integration/controller/soft_plant/test_connecting.py"
}
"""Pages that a test of their own runs from top to bottom."""
APPS = {"trimtab": controller_app, "trimtab-plant": plant_app, "trimtab-models": models_app}
PROGRAMS = {*APPS, "make", "python", "pip", "sudo", "systemctl", "journalctl", "uawrite", "uaread"}
PROGRAMS |= {"mv", "cp", "read", "promtool", "git", "systemd/install", "amtool", "curl", "sed"}
ANSWER_S = 60.0


@dataclass(frozen=True)
class Command:
    """A command and where it stands."""

    page: Path
    line: int
    text: str


@dataclass(frozen=True)
class Rule:
    """What is done with the commands that match.

    how: run; stays (started, ready, interrupted); walk, small, watch (tests below run several);
    elsewhere (another test runs it; its options are parsed); make (it has the target); helped (its
    --help names every option); systemd (it has the verb, we have the unit); allowed (not run).
    why: the test, or the reason.  without: what the copy must not have.  change: pairs to replace.
    also: what is added at the end.
    """

    pattern: str
    how: str
    why: str = ""
    without: tuple[str, ...] = ()
    change: tuple[tuple[str, str], ...] = ()
    also: str = ""


CONNECTING = "tests/integration/controller/soft_plant/test_connecting.py"
MONITORING = "tests/integration/monitoring/test_monitor_command.py"
EVALUATION = "tests/integration/models/test_evaluate.py"
PKI = tuple(f"etc/trimtab/{name}-pki" for name in ("R101", "R102", "hmi"))
SHIPPED = (("work/polymer-cstr-7/bundle", str(ROOT / "models/artifacts/polymer-cstr")),)
ELSEWHERE = {ROOT / "docs/connecting.md": CONNECTING}
"""Pages that a test of their own runs from top to bottom."""
TAKES_MINUTES = "takes minutes; a short one is run by "
MODELS = "tests/unit/models"
TRAINING = f"{MODELS}/data/test_own.py"
RULES = (
    # README: the three terminals are run together by a test below.
    Rule(r"trimtab-plant serve --insecure .*--speed 3000 --noise", "walk"),
    Rule(r"TRIMTAB_PASSWORD=\.\.\. .*trimtab run --insecure", "walk"),
    Rule(r"uawrite .* -t int32 2", "walk"),
    Rule(r"uawrite .*--security \S+", "elsewhere", CONNECTING),
    Rule(r"(mv|cp) \S+ pki-of-the-plant/trusted/\S*", "elsewhere", CONNECTING),
    Rule(r"trimtab-plant serve --credentials \S+ --pki \S+", "stays", also=" --port 0"),
    Rule(r"trimtab certs init( .*)?", "run", without=("pki", *PKI)),
    Rule(r"trimtab certs trust .*", "run", also=" --yes"),
    Rule(r"trimtab certs show .*", "run"),
    Rule(r"(TRIMTAB_\S+ )*trimtab tags browse .*", "run", without=("tags.toml",)),
    Rule(r"(TRIMTAB_\S+ )*trimtab check .*", "run"),
    Rule(r"trimtab (shadow|run) --config controller.toml( --bundle .*)?", "stays", change=SHIPPED),
    Rule(r"trimtab hmi .*--tls-cert .*", "elsewhere", "tests/integration/hmi/test_acting.py"),
    Rule(r"(TRIMTAB_HMI_PASSWORD=\.\.\. )?trimtab hmi .*", "stays", also=" --port 0"),
    Rule(r"trimtab monitor( --auto)?", "elsewhere", MONITORING),
    Rule(r"trimtab journal show .*", "run", change=(("--scan 311", "--scan 3"),)),
    Rule(r"python3 -c .*backup.*", "run"),
    Rule(r"systemd/install .*--root .*", "run"),
    Rule(r"systemd/install( .*)?", "run", also=' --root "$PWD/machine"'),
    Rule(r"install (-m 0(600|644)|-d) .*", "run"),
    Rule(r"cp -r config/.* /etc/(prometheus|grafana/provisioning)/", "run"),
    Rule(r"sed -i .* /etc/prometheus/.*", "run"),
    Rule(r"amtool --alertmanager\.url=\S+ alert add .*", "watch"),
    Rule(r"curl --silent --fail http://127\.0\.0\.1:9090/\S+", "watch"),
    Rule(r"_TRIMTAB_COMPLETE=source_bash trimtab \| tee .*", "run"),
    Rule(r"(promtool|amtool) .*", "run"),
    Rule(r"trimtab-models (show|recipes)", "run"),
    Rule(r"trimtab-models (check-data|train|assess)", "small"),
    Rule(r"trimtab-models train --device cuda", "elsewhere", f"{MODELS}/commands/test_bundles.py"),
    Rule(r"trimtab-models train .*", "elsewhere", TRAINING),
    Rule(r"trimtab-models check-data .*", "elsewhere", TRAINING),
    Rule(r"trimtab-models assess .*", "elsewhere", f"{MODELS}/evaluation/test_assessment.py"),
    Rule(r"trimtab-models (evaluate|report) .*", "elsewhere", EVALUATION),
    Rule(r"make demo", "make", TAKES_MINUTES + "tests/integration/demo/test_demo_processes.py"),
    Rule(r"make monitor .*", "make", "runs until Ctrl-C"),
    Rule(r"make test", "make", "is what runs this"),
    Rule(r"make (train|bench)( .*)?", "make", "takes minutes, and measures"),
    Rule(r"python -m benchmarks\S* .*", "helped", "measures, and wants a quiet machine"),
    Rule(r"(apt-get|pip|\.venv/bin/python -m pip) install .*", "allowed", "fetches packages"),
    Rule(r"python3 -m venv \.venv", "allowed", "every make target does it"),
    Rule(r"cp -r \. /opt/trimtab", "allowed", "copies out of the checkout"),
    Rule(r"(cd|mv) /opt/trimtab( /opt/trimtab\.old)?", "allowed", "a folder of the machine"),
    Rule(r"ln -sf /opt/trimtab/\.venv/bin/(\S+) /usr/local/bin/\1", "allowed", "in /usr"),
    Rule(r"cp config/controller\.toml (\S+ )?\.", "run"),
    Rule(r"read -rs TRIMTAB_PASSWORD; export TRIMTAB_PASSWORD", "run"),
    Rule(r"(systemctl|journalctl) .*", "systemd", "needs systemd as process 1"),
)


def commands(page):
    """Every command of a page, with lines that go on after a backslash joined."""
    fence, begun = None, None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if found := re.match(r"\s*```(.*)", line):
            fence, begun = (None if fence is not None else found[1]), None
            continue
        text = line.strip()
        if begun is not None:
            begun = (begun[0], f"{begun[1][:-1]} {text}")
        elif is_command(fence, line):
            begun = (number, text.removeprefix("$ "))
        else:
            continue
        if not begun[1].endswith("\\"):
            yield Command(page, begun[0], re.sub(r"\s+#\s.*", "", begun[1]).strip())
            begun = None


def is_command(fence, line):
    if not line.strip():
        return False
    if fence is not None:
        shell = fence in {"sh", "bash", "shell"}
        return shell or (fence == "console" and line.startswith("$ "))
    words = [word for word in line.split() if not re.match(r"[A-Z_]+=", word)]
    if not (line.startswith("    ") and len(words) > 1 and words[0] in PROGRAMS):
        return False
    return words[0] not in {"mv", "cp"} or "/" in words[1]  # one_scan.md lists the MVs: mv 2.5 kg/h


COMMANDS = [c for page in PAGES if page not in ELSEWHERE for c in commands(page)]


def normal(text):
    """Without sudo, and without the blanks that only align."""
    return re.sub(r"(?<!\S)sudo ", "", re.sub(r" {2,}", " ", text))


def rule_of(text):
    return next((rule for rule in RULES if re.fullmatch(rule.pattern, normal(text))), None)


def of(*kinds):
    """The commands of a kind, each text once."""
    found = {}
    for command in COMMANDS:
        rule = rule_of(command.text)
        if rule is not None and rule.how in kinds:
            found.setdefault(normal(command.text), command)
    return [
        pytest.param(text, id=f"{c.page.name}:{c.line} {text[:50]}") for text, c in found.items()
    ]


def test_the_commands_are_found():
    assert len(COMMANDS) > 80
    per_page = {page.name: sum(c.page == page for c in COMMANDS) for page in PAGES}
    for name in ("README.md", "deployment.md", "security.md", "training.md", "operations.md"):
        assert per_page[name] >= 8, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_covered(page):
    bare = [c for c in COMMANDS if c.page == page and rule_of(c.text) is None]
    assert not bare, "\n".join(f"{page.name}:{c.line}: no rule covers: {c.text}" for c in bare)


def test_every_rule_covers_something():
    used = {rule_of(command.text) for command in COMMANDS}
    assert [rule.pattern for rule in RULES if rule not in used] == []


def test_every_test_that_is_named_is_there():
    for rule in RULES:
        if rule.how == "elsewhere":
            assert (ROOT / rule.why).exists(), rule
    for test in ELSEWHERE.values():
        assert (ROOT / test).is_file()


def test_an_indented_line_that_begins_with_a_program_is_a_command(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n    trimtab run   # a remark\n    A=1 make demo\n    no command\n\n"
        "```sh\nanything here \\\n  goes on\n```\n```console\n$ asked\nanswer\n```\n"
        "```python\nmake = 1\n```\n"
    )
    said = [command.text for command in commands(page)]
    assert said == ["trimtab run", "A=1 make demo", "anything here  goes on", "asked"]


# ---------------------------------------------------------------------- where they run


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key[:8] != "TRIMTAB_"},
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "COLUMNS": "200",
    "NO_COLOR": "1",
    "TRIMTAB_METRICS__PORT": "0",
}


def ask(text, folder, *, seconds=ANSWER_S, **more):
    done = subprocess.run(
        ["bash", "-c", text], cwd=folder, env={**ENVIRONMENT, **more}, input="secret-enough\n",
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode == 0, f"{text}\n{said}"
    return said


class Lasting:
    """A command that stays, in a terminal of its own."""

    def __init__(self, text, folder, **more):
        self.text = text
        self.log = folder / f"{time.monotonic_ns()}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                ["bash", "-c", re.sub(r"((?:[A-Z_]+=\S+ )*)(.*)", r"\1 exec \2", text, count=1)],
                cwd=folder, env={**ENVIRONMENT, **more}, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def ready(self):
        until = time.monotonic() + ANSWER_S
        while not re.search(r'trimtab (hmi )?ready|"event": "ready"', self.said()):
            assert self.process.poll() is None, f"{self.text}\n{self.said()}"
            assert time.monotonic() < until, f"{self.text}\n{self.said()}"
            time.sleep(0.05)
        return self

    def said(self):
        return self.log.read_text(errors="replace")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(ANSWER_S) == 0, self.said()
        assert "Traceback" not in self.said()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


SETTINGS = """
[server]
url = "opc.tcp://127.0.0.1:{port}"
user = "apc"
password_file = "apc.password"
[scan]
period_s = 0.1
[tags]
path = "tags.toml"
[journal]
path = "runs/journal.db"
"""


def password(users, name):
    return tomllib.loads(users.read_text())["users"][name]["password"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as the pages have it: a plant beside it, settings, trust both ways, a journal."""
    folder = tmp_path_factory.mktemp("place")
    port = free_port()
    plant = Lasting(
        f"trimtab-plant serve --port {port} --speed 3000 --noise --credentials users.toml"
        " --pki pki-of-the-plant",
        folder,
    )
    try:
        plant.ready()
        furnish(folder, port)
        yield folder, port
        plant.end()
    finally:
        plant.kill()


def furnish(folder, port):
    users = folder / "users.toml"
    secret = folder / "apc.password"
    secret.touch(mode=0o600)
    secret.write_text(password(users, "apc"))
    shutil.copy(default_config_dir() / "tags.toml", folder)
    (folder / "controller.toml").write_text(SETTINGS.format(port=port))
    ask("trimtab certs init", folder)
    ask(f"trimtab certs trust --from-url opc.tcp://127.0.0.1:{port} --yes", folder)
    shutil.copy(folder / "pki/own/certificate.der", folder / "pki-of-the-plant/trusted/us.der")
    shadow = Lasting("trimtab shadow --config controller.toml", folder).ready()
    time.sleep(2.0)  # twenty scans for the journal
    shadow.end()
    etc = folder / "etc/trimtab"
    etc.mkdir(parents=True)
    for name in ("tags.toml", "users.toml"):
        shutil.copy(folder / name, etc)
    for unit in ("R101", "R102"):
        shutil.copy(folder / "controller.toml", etc / f"{unit}.toml")
        shutil.copy(secret, etc / f"{unit}.password")
    for name in PKI:
        shutil.copytree(folder / "pki", folder / name)
    shutil.copytree(ROOT / "config/prometheus", folder / "etc/prometheus")
    shutil.copy(ROOT / "config/alertmanager/alertmanager.yml", folder / "etc/prometheus")
    (folder / "etc/grafana/provisioning").mkdir(parents=True)
    (folder / "var/lib/grafana/dashboards/trimtab").mkdir(parents=True)
    journals = folder / "var/lib/trimtab/R101"
    journals.mkdir(parents=True)
    for copy in (journals / "journal.db", folder / "journal.db", folder / "backup.db"):
        shutil.copy(folder / "runs/journal.db", copy)
    (folder / "etc/bash_completion.d").mkdir()
    shutil.copytree(folder / "pki-of-the-plant", folder / "var/lib/trimtab-plant/pki")
    shutil.copy(folder / "pki/own/certificate.der", folder / "hmi.crt")
    shutil.copy(folder / "pki/own/private_key.pem", folder / "hmi.key")
    for name in ("systemd", "config"):
        (folder / name).symlink_to(ROOT / name)


def copied(place, rule, tmp_path):
    """The folder once more, for one command, without what would be in its way."""
    folder = tmp_path / "place"
    shutil.copytree(place[0], folder, symlinks=True, ignore=shutil.ignore_patterns("*.log"))
    for name in rule.without:
        target = folder / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return folder


def placed(text, place, rule, folder):
    """The command with what stands for this place in it."""
    for old, new in (
        ("HOST:4840", f"127.0.0.1:{place[1]}"),
        ("/etc/", f"{folder}/etc/"),
        ("/var/lib/", f"{folder}/var/lib/"),
        ("HMI_PASSWORD=...", f"HMI_PASSWORD={password(folder / 'users.toml', 'observer')}"),
        *rule.change,
    ):
        text = text.replace(old, new)
    return text + rule.also


@pytest.mark.parametrize("text", of("run"))
def test_it_runs(text, place, tmp_path):
    rule = rule_of(text)
    program = text.split()[0]
    package = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}.get(program)
    if package is not None and shutil.which(program) is None:
        pytest.skip(f"{program} is absent: apt-get install --no-install-recommends {package}")
    folder = copied(place, rule, tmp_path)
    secret = password(folder / "users.toml", "apc")
    assert ask(placed(text, place, rule, folder), folder, TRIMTAB_PASSWORD=secret) is not None


@pytest.mark.parametrize("text", of("stays"))
def test_it_starts_stays_and_ends(text, place, tmp_path):
    rule = rule_of(text)
    folder = copied(place, rule, tmp_path)
    secret = password(folder / "users.toml", "observer")  # of the screens, which only read
    lasting = Lasting(placed(text, place, rule, folder), folder, TRIMTAB_HMI_PASSWORD=secret)
    try:
        lasting.ready().end()
    finally:
        lasting.kill()


@pytest.mark.timeout(240)
def test_the_three_terminals_of_the_readme(tmp_path):
    serve, run, select = (normal(c.text) for c in COMMANDS if rule_of(c.text).how == "walk")
    port = free_port()
    there = {"TRIMTAB_SERVER__URL": f"opc.tcp://127.0.0.1:{port}"}
    plant = Lasting(f"{serve} --port {port}", tmp_path)
    controller = None
    try:
        plant.ready()
        users = tmp_path / "users.toml"
        controller = Lasting(run.replace("...", password(users, "apc")), tmp_path, **there).ready()
        select = select.replace("4840", str(port))
        ask(select.replace("...", password(users, "operator")), tmp_path)
        until = time.monotonic() + ANSWER_S
        while "AUTO" not in modes(controller.said()):
            assert time.monotonic() < until, controller.said()
            time.sleep(0.1)
        controller.end()
        plant.end()
    finally:
        for lasting in (controller, plant):
            if lasting is not None:
                lasting.kill()


def begins(command, name):
    return rule_of(command.text).how == "watch" and command.text.startswith(name)


def test_what_watches_starts_with_the_shipped_files_and_takes_an_alert(place, tmp_path):
    """Prometheus and Alertmanager as in the step on monitoring, on ports of their own."""
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is absent: apt-get install --no-install-recommends {program}")
    etc = place[0] / "etc/prometheus"
    ports = {"9090": str(free_port()), "9093": str(free_port())}
    prometheus = (
        f"prometheus --config.file={etc}/prometheus.yml --storage.tsdb.path={tmp_path}/p"
        f" --web.listen-address=127.0.0.1:{ports['9090']} --enable-feature=exemplar-storage"
    )
    alertmanager = (
        f"prometheus-alertmanager --config.file={etc}/alertmanager.yml --storage.path={tmp_path}/a"
        f" --cluster.listen-address= --web.listen-address=127.0.0.1:{ports['9093']}"
    )
    both = [Lasting(text, tmp_path) for text in (prometheus, alertmanager)]
    try:
        for port in ports.values():
            tries = "--retry 100 --retry-delay 1 --retry-all-errors"
            ask(f"curl --silent --fail {tries} http://127.0.0.1:{port}/-/ready", tmp_path)
        (targets,), (alert,) = (
            [re.sub("909[03]", lambda m: ports[m[0]], c.text) for c in COMMANDS if begins(c, name)]
            for name in ("curl", "amtool")
        )
        until = time.monotonic() + ANSWER_S
        while '"plant_unit":"R101"' not in (said := ask(targets, tmp_path)):
            assert time.monotonic() < until, said
            time.sleep(0.2)
        ask(alert, tmp_path)
        assert "Test" in ask(alert.partition(" alert ")[0] + " alert", tmp_path)
    finally:
        for lasting in both:
            lasting.kill()


SMALL = """
extends = "polymer-cstr"
source = { hours = 16.0 }
behaviour = { episodes_per_scenario = 2 }
policy = { steps = 20, width = 8, batch = 16 }
cost = { steps = 20, width = 8, batch = 16 }
scalar = { steps = 20, width = 8, batch = 16 }
held = { steps = 5, width = 8, rest_width = 8, batch = 16, states = 20 }
imagined = { horizons = 300, disagreement = 10.0 }
[dynamics]
steps = 20
width = 8
batch = 16
rollout = 6
rollout_steps = 20
rollout_batch = 16
[envelope]
rest_hours = 2.0
rest_span = { PolymerConc = 5.0, Temperature = 5.0 }
[conformal]
held_out = 0.3
least_episodes = 3
level = 0.6
within = 0.8
ood_level = 0.75
centres = 16
"""
"""A recipe that trains in seconds, and is good for nothing else."""


@pytest.mark.timeout(400)
def test_data_training_and_assessment_in_small(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    wanted = {"check-data": "", "train": "", "assess": " --bundle work/polymer-cstr-1/bundle"}
    texts = {text.split()[1]: text for (text,) in (param.values for param in of("small"))}
    assert set(texts) == set(wanted)
    for name, more in wanted.items():
        ask(f"{texts[name]} --recipe small.toml --jobs 1{more}", tmp_path, seconds=240.0)
    assert (tmp_path / "work/polymer-cstr-1/bundle/manifest.json").is_file()


def modes(said):
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [line["after"] for line in lines if line["event"] == "mode"]


# ---------------------------------------------------------------------- what is not run


OURS = [p for p in of("run", "stays", "small", "elsewhere") if p.values[0].split()[0] in APPS]


@pytest.mark.parametrize("text", OURS)
def test_its_options_are_ones_that_the_program_takes(text):
    """By its own parser; nothing is run.  What is run is parsed as well: this costs nothing."""
    program, *words = shlex.split(text.split(" | ")[0])
    context, command = None, get_command(APPS[program])
    while True:
        context = command.make_context(program, list(words), parent=context)
        if not hasattr(command, "commands"):
            break
        name, command, words = command.resolve_command(context, list(words))
        assert command is not None, name


@pytest.mark.parametrize("text", of("make"))
def test_make_has_the_target_and_its_variable(text):
    _, target, *variables = shlex.split(text)
    done = subprocess.run(
        ["make", "--dry-run", target, *variables],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for variable in variables:
        assert f"$({variable.partition('=')[0]})" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("text", of("helped"))
def test_its_help_names_every_option(text):
    words = shlex.split(text)
    module = words[words.index("-m") + 1]
    sub = [word for word in words[words.index(module) + 1 :][:1] if word == "report"]
    done = subprocess.run(
        [sys.executable, "-m", module, *sub, "--help"],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for option in re.findall(r"(?<!\S)--[a-z-]+", text):
        assert option in done.stdout, option


@pytest.mark.parametrize("text", of("systemd"))
def test_systemd_has_the_verb_and_we_have_the_unit(text):
    program, *words = shlex.split(text)
    if shutil.which(program) is None:
        pytest.skip(f"{program} is absent: apt-get install --no-install-recommends systemd")
    told = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    if program == "systemctl":
        assert re.search(rf"^  {words[0]}\b", told, flags=re.MULTILINE), words[0]
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<!\S){option}\b", told), option
    ours = {path.name for path in (ROOT / "systemd").iterdir()}
    for unit in (word for word in words if word.startswith("trimtab")):
        file = unit if unit.endswith(".target") else re.sub(r"@.*", "@", unit) + ".service"
        assert file in ours, unit


def test_what_is_allowed_gives_a_reason():
    for rule in RULES:
        assert rule.how in {"run", "stays", "walk", "small", "watch"} or rule.why, rule
