"""`trimtab check` and `trimtab tags browse` on a server whose names and types mean harm."""

import asyncio
import math
import tomllib

import pytest
import pytest_asyncio
from asyncua import ua

from controller.commissioning.browse import browse_to
from controller.commissioning.check import check_plant
from controller.commissioning.walk import Limits
from controller.configuration.security import SecuritySettings
from controller.configuration.settings import load_settings
from tests.integration.controller.foreign_plant import FOREIGN_TAGS
from tests.integration.controller.service_rig import HANDSHAKE, configure

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "\x1b]0;owned\x07\x9b31m\u202e\r\n[cv.Evil]\n"
MEGABYTE = 1 << 20


def refer(server, source, target, kind, *, forward):
    """Add a reference that asyncua would refuse."""
    server.iserver.aspace[source.nodeid].references.append(
        ua.ReferenceDescription(
            ReferenceTypeId=ua.NodeId(kind),
            IsForward=forward,
            NodeId=target.nodeid,
            BrowseName=ua.QualifiedName("Circle", 1),
            NodeClass=ua.NodeClass.DataType if not forward else ua.NodeClass.Object,
        )
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evil(foreign_server):
    """The foreign plant with everything in it that a server can say wrongly."""
    plant = foreign_server
    server, index = plant._server, plant.index
    folder = await server.nodes.objects.add_folder(index, EVIL)
    inner = await folder.add_folder(index, "Inner")
    for target in (folder, inner):
        refer(server, inner, target, ua.ObjectIds.Organizes, forward=True)
    await inner.add_variable(index, "N" * MEGABYTE, 1.0)
    await inner.add_variable(ua.NodeId("i" * 5000, index), "long id", 1.0)
    types = [await server.get_node(ua.ObjectIds.Number).add_data_type(index, name) for name in "AB"]
    for below, above in (types, types[::-1]):  # each is the other's subtype, and nothing else
        node = server.iserver.aspace[below.nodeid]
        node.references = [one for one in node.references if one.ReferenceTypeId.Identifier != 45]
        refer(server, below, above, ua.ObjectIds.HasSubtype, forward=False)
    for name, kind in (
        ("in a circle", types[0].nodeid),
        ("a number", 5),
        ("a text", "Double"),
        ("a list", [1, 2]),
        ("nowhere", ua.NodeId("nowhere", index)),
    ):
        variable = await inner.add_variable(index, f"type is {name}", 1.0)
        held = server.iserver.aspace[variable.nodeid].attributes[ua.AttributeIds.DataType]
        held.value = ua.DataValue(ua.Variant(kind))
    units = ua.EUInformation(
        NamespaceUri=EVIL,
        UnitId=-1,
        DisplayName=ua.LocalizedText(EVIL + "u" * MEGABYTE),
        Description=ua.LocalizedText("d" * MEGABYTE),
    )
    pv = plant.nodes["TI_101.PV"]
    await pv.add_property(0, "EngineeringUnits", units)
    await pv.add_property(0, "EURange", ua.Range(Low=-math.inf, High=math.nan))
    names = [ua.LocalizedText(f"{EVIL}{number}") for number in range(20_000)]
    await plant.nodes["APC.MODE"].add_property(0, "EnumStrings", names)
    return plant


def harmless(text):
    """Nothing in it that a terminal obeys or a reader does not see."""
    return all(c.isprintable() or c in "\n\t" for c in text)


async def test_a_browse_of_it_ends_and_proposes_plain_text(evil, tmp_path):
    out = tmp_path / "tags.toml"
    async with asyncio.timeout(60.0):
        text = await asyncio.to_thread(
            browse_to,
            url=evil.url,
            user=None,
            password_file=None,
            security=SecuritySettings(policy="None", insecure=True),
            bundle=None,
            out=out,
            force=False,
            limits=Limits(),
        )
    assert harmless(text)
    assert len(text) < 200_000
    assert max(map(len, text.splitlines())) < 40_000
    assert set(tomllib.loads(out.read_text(encoding="utf-8"))) == {"schema", "namespaces"}
    assert "TI_101.PV" in text
    assert "N" * 600 not in text
    assert "type is in a circle" in text


async def test_a_check_of_it_ends_and_prints_plain_text(evil, tmp_path, capfd):
    config = configure(tmp_path, evil, FOREIGN_TAGS + HANDSHAKE)
    async with asyncio.timeout(60.0):
        await check_plant(load_settings(config), config)
    printed = capfd.readouterr()
    assert harmless(printed.out)
    assert "owned" in printed.out, "the words are shown, and do nothing"
    assert len(printed.out) < 100_000
