"""What a foreign client finds: browse paths, types, units, time stamps."""

from datetime import UTC, datetime, timedelta

from asyncua import ua

from plant_sim.opcua.methods import METHODS
from plant_sim.unit.tag_table import ENUM_TYPES, TAGS
from plant_sim.unit.tags import Kind


async def test_every_tag_and_method_is_found_by_its_browse_path(plant):
    async with plant.peer("observer") as peer:
        objects = peer.client.nodes.objects
        for item in (*TAGS, *METHODS):
            path = [f"{peer.index}:{name}" for name in item.path.split("/")]
            node = await objects.get_child(path)
            assert node.nodeid == ua.NodeId(item.number, peer.index), item.path


async def test_types_ranges_and_units(plant):
    async with plant.peer("observer") as peer:
        for tag in TAGS:
            node = peer.client.get_node(peer.ids[tag.path])
            data_type = await node.read_data_type()
            if tag.kind is Kind.ENUM:
                assert data_type == ua.NodeId(ENUM_TYPES[tag.enum], peer.index)
            else:
                assert data_type == ua.NodeId(ua.VariantType[tag.kind.value].value)
            assert await node.read_value_rank() == ua.ValueRank.Scalar
            if tag.range and tag.unit:
                kind = await node.read_type_definition()
                assert kind == ua.NodeId(ua.ObjectIds.AnalogUnitRangeType)
            if tag.range:
                span = await (await node.get_child("0:EURange")).read_value()
                assert (span.Low, span.High) == tag.range
            if tag.unit:
                units = await (await node.get_child("0:EngineeringUnits")).read_value()
                assert units.DisplayName.Text.replace("³", "3") == tag.unit


async def test_enumerations_have_names(plant):
    async with plant.peer("observer") as peer:
        for enum, number in ENUM_TYPES.items():
            node = peer.client.get_node(ua.NodeId(number, peer.index))
            names = await (await node.get_child("0:EnumStrings")).read_value()
            assert [name.Text for name in names] == [member.name for member in enum]
            definition = await node.read_data_type_definition()
            assert {f.Name: f.Value for f in definition.Fields} == {m.name: m.value for m in enum}


async def test_every_value_has_status_and_a_recent_source_time(fresh):
    async with fresh.peer("observer") as peer:
        scanned = [tag.path for tag in TAGS if tag.scanned]
        now = datetime.now(UTC)
        for path, data in zip(scanned, await peer.data(*scanned), strict=True):
            assert data.StatusCode.is_good(), path
            age = now - data.SourceTimestamp.replace(tzinfo=UTC)
            assert timedelta(seconds=-1) < age < timedelta(seconds=1), path
        rest = [tag.path for tag in TAGS if not tag.scanned]
        for path, data in zip(rest, await peer.data(*rest), strict=True):
            assert data.StatusCode.is_good(), path
            assert data.SourceTimestamp is not None, path


async def test_paused_measurements_keep_their_time_and_plant_time_stands(fresh):
    async with fresh.peer("engineer") as engineer:
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        first = await engineer.data("R101/PV/Temperature", "Sim/PlantTime")
        beat = await engineer.read("APC/HeartbeatOut")
        await engineer.until("APC/HeartbeatOut", lambda value: value > beat + 3)
        second = await engineer.data("R101/PV/Temperature", "Sim/PlantTime")
        assert [d.Value.Value for d in first] == [d.Value.Value for d in second]
        assert second[0].SourceTimestamp > first[0].SourceTimestamp


async def test_method_arguments_are_described(plant):
    async with plant.peer("observer") as peer:
        for method in METHODS:
            node = peer.client.get_node(ua.NodeId(method.number, peer.index))
            for name, arguments in (
                ("InputArguments", method.inputs),
                ("OutputArguments", method.outputs),
            ):
                if arguments:
                    described = await (await node.get_child(f"0:{name}")).read_value()
                    assert [a.Name for a in described] == [a.name for a in arguments]
