"""`trimtab shadow` on a foreign server: string ids, degC and percent, by configuration alone."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tomllib

import pytest

from controller.commissioning.walk import Limits, walk
from controller.journal.reader import Reader
from controller.opcua.endpoint import Endpoint
from controller.opcua.survey import survey
from tests.integration.controller.foreign_plant import FOREIGN_TAGS
from tests.integration.controller.service_rig import configure

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAGS = FOREIGN_TAGS.replace("plc:s=TI_101.PV", "plc:/PLC/TI_101.PV").replace(
    "plc:s=TIC_101.SP", "nsu=urn:vendor:plc7;s=TIC_101.SP"
)
BLOCKER = "import sys; sys.modules['torch'] = None; from controller.cli import main; main()"


def start(*argv: str, cwd) -> subprocess.Popen:
    """Start a command, torch not importable."""
    return subprocess.Popen(
        [sys.executable, "-c", BLOCKER, *argv],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )


async def trimtab(*argv: str, cwd, seconds: float = 30.0) -> tuple[int, str]:
    """Run a command to its end; exit code and output."""
    process = start(*argv, cwd=cwd)
    out, errors = await asyncio.to_thread(process.communicate, None, seconds)
    return process.returncode, (out + errors).decode()


@pytest.fixture
def folder(tmp_path, plant):
    configure(tmp_path, plant, TAGS, period_s=0.2)
    return tmp_path


async def test_shadow_reads_converts_advises_records_and_writes_nothing(folder, plant):
    process = start("shadow", "--config", "controller.toml", cwd=folder)
    line = await asyncio.to_thread(process.stdout.readline)
    assert b"shadowing (read-only)" in line
    await asyncio.sleep(1.0)
    await plant.put("TI_101.PV", 80.0)
    await asyncio.sleep(0.8)
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(process.communicate, None, 20.0)
    assert process.returncode == 0, errors
    assert b"scan_period" in errors

    with Reader.open(folder / "journal.db") as reader:
        rows = list(reader.scans())
    first, last = rows[0], rows[-1]
    assert first["cv"] == pytest.approx([102.0, 349.65])
    assert last["cv"][1] == pytest.approx(353.15)
    assert first["sp"] == pytest.approx([100.0, 350.0])
    assert first["mv"] == pytest.approx([1.0, 333.15])
    assert first["dv"] == pytest.approx([420.0])
    assert {row["mode_after"] for row in rows[1:]} == {"SHADOW"}
    assert all(row["target"] is None and not row["written"] for row in rows)
    assert any(row["certified"] for row in rows)
    for name, value in (("FIC_12.RSP", 40.0), ("TIC_77.RSP", 60.0), ("APC.HB_IN", 0)):
        assert await plant.get(name) == value
    assert await plant.get("APC.REQUEST") is True


async def test_check_says_what_a_server_without_interface_block_means(folder, plant):
    configure(folder, plant, TAGS, period_s=300.0)
    code, text = await trimtab("check", "--config", "controller.toml", cwd=folder)
    flat = re.sub(r"\s+", " ", text)
    assert code == 0, text
    assert "AUTO cannot be entered" in flat
    assert "AUTO starts from Actual" in flat
    assert "the server names no unit" in flat


async def test_check_finds_a_wrong_unit_that_the_server_does_not_name(folder, plant):
    wrong = TAGS.replace(
        'unit = "degC"\nrange = [0.0, 150.0]', 'unit = "K"\nrange = [280.0, 420.0]'
    )
    assert wrong != TAGS
    configure(folder, plant, wrong, period_s=300.0)
    code, text = await trimtab("check", "--config", "controller.toml", cwd=folder)
    flat = re.sub(r"\s+", " ", text)
    assert code == 2, text
    assert "now 76.5, outside range 280 to 420" in flat
    assert "it would fit degC" in flat


async def test_browse_of_a_foreign_server_is_toml_whatever_the_names_are(plant, tmp_path):
    folder = plant.nodes["TI_101.PV"]
    parent = await folder.get_parent()
    evil = 'a "quoted" \\ name / with # & äöü\n[evil]\nx = 1'
    await parent.add_variable(plant._id(evil), evil, 1.0)
    out = tmp_path / "tags.toml"
    code, text = await trimtab(
        "tags", "browse", "--url", plant.url, "--insecure", "--out", str(out), cwd=tmp_path
    )
    assert code == 0, text
    found = tomllib.loads(out.read_text(encoding="utf-8"))
    assert found["schema"] == 1
    assert "urn:vendor:plc7" in found["namespaces"].values()
    assert "evil" not in found
    assert list(tmp_path.iterdir()) == [out]
    taken = re.sub(r"(?m)^#(?!#)", "", out.read_text(encoding="utf-8"))
    tomllib.loads(taken)
    assert "AI_4711.PV" in taken


async def test_a_walk_keeps_its_limits_and_says_so(plant):
    client = Endpoint(url=plant.url, user=None, password=None, connect_timeout_s=3.0).client()
    async with client:
        whole = await walk(client, Limits())
        short = await walk(client, Limits(variables=3))
        shallow = await walk(client, Limits(depth=1))
        facts = await survey(client, [place.node for place in whole.places])
    assert not whole.truncated
    assert len(short.places) == 3
    assert short.truncated
    assert shallow.places == ()
    assert shallow.truncated
    by_name = {place.path[-1].Name: fact for place, fact in zip(whole.places, facts, strict=True)}
    assert by_name["TIC_77.RSP"].kind_name == "Float"
    assert by_name["TIC_77.RSP"].user_writable
    assert not by_name["TI_101.PV"].writable
