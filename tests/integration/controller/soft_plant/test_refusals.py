"""Bad input and bad company: exit codes, messages without traceback, and nothing half done."""

import asyncio
import re
import signal
import socket
import sys

import pytest

from controller.configuration.settings import default_config_dir

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIT = "scan.period_s"


async def ended(controller, command: str = "run", *more: str) -> tuple[int, str]:
    """Exit code and output of a controller that must end by itself."""
    controller.launch(command, *more)
    code = await asyncio.to_thread(controller.process.popen.wait, 60.0)
    text = controller.process.text()
    assert "Traceback" not in text
    return code, text


async def test_a_wrong_password_is_refused_by_the_plant(soft_plant, make_controller):
    controller = make_controller()
    controller.configure(soft_plant.url, "wrong-password")
    code, text = await ended(controller)
    assert code == 4
    assert "password_file" in text
    assert 'user "apc"' in text


async def test_no_server_is_refused(make_controller):
    controller = make_controller()
    controller.configure("opc.tcp://127.0.0.1:9", "secret-enough")
    code, text = await ended(controller)
    assert code == 4
    assert "no OPC UA server at opc.tcp://127.0.0.1:9" in text


async def test_a_scan_period_that_does_not_fit_writes_nothing(
    soft_plant, make_controller, operator
):
    controller = make_controller(period_s=0.2)
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    beats = await operator.get("APC/HeartbeatIn")
    code, text = await ended(controller)
    assert code == 2
    assert FIT in text
    assert "set scan.period_s = 0.1" in text
    assert await operator.get("APC/LeaseOwner") == ""
    assert await operator.get("APC/HeartbeatIn") == beats
    assert not controller.journal.exists()


async def test_a_node_that_is_not_there_is_named(soft_plant, make_controller, tmp_path):
    shipped = (default_config_dir() / "tags.toml").read_text(encoding="utf-8")
    tags = tmp_path / "wrong.toml"
    tags.write_text(shipped.replace("R101/PV/Temperature", "R101/PV/Temprature"), encoding="utf-8")
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    code, text = await ended(controller, "run", "--tags", str(tags))
    assert code == 4
    assert "cv.Temperature.pv" in text
    assert "R101/PV/Temprature" in text


async def test_a_metrics_port_in_use_is_named(soft_plant, make_controller, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("TRIMTAB_METRICS__PORT", str(taken.getsockname()[1]))
        controller = make_controller()
        controller.configure(soft_plant.url, soft_plant.password("apc"))
        code, text = await ended(controller)
    assert code == 2
    assert "metrics.port" in text


async def test_two_controllers_one_lease(
    soft_plant, controller, operator, make_controller, tmp_path
):
    await operator.auto()
    folder = tmp_path / "second"
    folder.mkdir()
    second = make_controller(folder=folder)
    second.configure(soft_plant.url, soft_plant.password("apc"))
    await second.start()
    await asyncio.sleep(1.5)
    assert await operator.get("APC/Active") is True
    assert await operator.get("APC/LeaseOwner") == "trimtab"
    assert await controller.mode() == "AUTO"
    assert await second.mode() == "SHADOW"
    assert await second.process.end() == 0
    assert not any(row["written"] for row in second.rows())
    assert await operator.get("APC/Active") is True
    assert await controller.mode() == "AUTO"


async def test_a_second_controller_waits_until_the_lease_of_a_dead_one_runs_out(  # noqa: PLR0917
    soft_plant, controller, operator, make_controller, tmp_path, monkeypatch
):
    await operator.auto()
    folder = tmp_path / "second"
    folder.mkdir()
    second = make_controller(folder=folder)
    second.configure(soft_plant.url, soft_plant.password("apc"))
    monkeypatch.setenv("TRIMTAB_SERVER__OWNER", "second")
    await second.start()
    assert await operator.get("APC/LeaseOwner") == "trimtab"
    controller.process.kill()
    await operator.wait("APC/LeaseOwner", "second")
    assert await operator.get("APC/Active") is False, "nobody selected Auto since the shed"
    await operator.select(1)
    await asyncio.sleep(0.5)
    await operator.auto()
    await second.reaches("AUTO")
    assert await second.process.end() == 0


async def test_shadow_on_the_soft_plant_writes_nothing(soft_plant, make_controller, operator):
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    beats = await operator.get("APC/HeartbeatIn")
    await controller.start("shadow")
    await operator.select(2)
    await asyncio.sleep(1.0)
    assert await controller.mode() == "SHADOW"
    assert await controller.process.end(signal.SIGTERM) == 0
    for path, value in (
        ("APC/HeartbeatIn", beats),
        ("APC/LeaseOwner", ""),
        ("APC/Request", False),
        ("APC/Active", False),
        ("APC/Diagnostics/CycleMs", 0.0),
    ):
        assert await operator.get(path) == value, path
    rows = controller.rows()
    assert len(rows) > 5
    assert all(row["target"] is None for row in rows)
    assert any(row["certified"] for row in rows)


async def test_check_accepts_the_shipped_configuration(soft_plant, make_controller):
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    code, text = await ended(controller, "check")
    assert code == 0, text
    assert "0 to correct" in re.sub(r"\s+", " ", text)


async def test_check_names_what_another_account_may_not_write(soft_plant, make_controller):
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("observer"))
    text = controller.config.read_text(encoding="utf-8").replace('"apc"', '"observer"', 1)
    controller.config.write_text(text, encoding="utf-8")
    code, text = await ended(controller, "check")
    assert code == 4
    assert "not writable by this user" in re.sub(r"\s+", " ", text)


async def test_check_finds_a_wrong_unit_and_a_wrong_period(soft_plant, make_controller, tmp_path):
    shipped = (default_config_dir() / "tags.toml").read_text(encoding="utf-8")
    tags = tmp_path / "units.toml"
    wrong = shipped.replace('unit = "K"\nrange = [273.0, 600.0]', 'unit = "degC"\nrange = [0, 300]')
    assert wrong != shipped
    tags.write_text(wrong, encoding="utf-8")
    controller = make_controller(period_s=0.3)
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    code, text = await ended(controller, "check", "--tags", str(tags))
    flat = re.sub(r"\s+", " ", text)
    assert code == 2
    assert "unit K on the server, degC in tags.toml" in flat
    assert "scan.period_s" in flat


async def test_browse_proposes_tags_that_control_the_plant(
    soft_plant, make_controller, tmp_path, operator
):
    """What the guesses give, taken over as they are, runs the soft plant in AUTO."""
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    out = tmp_path / "proposed.toml"
    secret = str(tmp_path / "apc.password")
    browse = ["tags", "browse", "--url", soft_plant.url, "--user", "apc", "--insecure"]
    argv = [*browse, "--password-file", secret, "--out", str(out)]
    code, text = await browsed(argv, tmp_path)
    assert code == 0, text
    code, text = await browsed(argv, tmp_path)
    assert code == 2
    assert "--force" in text
    taken = re.sub(r"(?m)^#(?!#)", "", out.read_text(encoding="utf-8"))
    out.write_text(taken, encoding="utf-8")
    await controller.start("run", "--tags", str(out))
    await operator.auto()
    await asyncio.sleep(1.0)
    await controller.reaches("AUTO")
    assert await controller.process.end() == 0


async def browsed(argv: list[str], folder) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controller.cli", *argv,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()
