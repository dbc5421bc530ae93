import json
import os

import pytest

from plant_sim import serve
from plant_sim.errors import ConfigurationError
from plant_sim.settings import FileSettings, PlantSettings


def test_the_ready_file_is_whole_and_names_this_process(tmp_path):
    path = tmp_path / "ready.json"
    path.write_text('{"endpoint": "opc.tcp://127.0.0.1:1", "pid": 1}\n')
    serve._write_ready(path, "opc.tcp://127.0.0.1:4841")
    assert json.loads(path.read_text()) == {
        "endpoint": "opc.tcp://127.0.0.1:4841",
        "pid": os.getpid(),
    }
    assert list(tmp_path.iterdir()) == [path]


def test_the_ready_file_of_several_units_lists_every_endpoint(tmp_path):
    path = tmp_path / "ready.json"
    for _ in range(2):  # the second time over one of its own kind
        serve._write_ready(path, "opc.tcp://127.0.0.1:1", "opc.tcp://127.0.0.1:2")
    assert json.loads(path.read_text()) == {
        "endpoint": "opc.tcp://127.0.0.1:1",
        "endpoints": ["opc.tcp://127.0.0.1:1", "opc.tcp://127.0.0.1:2"],
        "pid": os.getpid(),
    }
    serve._remove(path)
    assert not path.exists()


def test_every_unit_has_a_trend_of_its_own():
    assert serve.unit_names("", 3) == ["", "", ""]
    assert serve.unit_names("runs/t.csv", 1) == ["runs/t.csv"]
    assert serve.unit_names("runs/t.csv", 2) == ["runs/t-1.csv", "runs/t-2.csv"]
    assert serve.unit_names("t", 2) == ["t-1", "t-2"]


def test_a_trend_of_a_unit_at_the_path_of_another_file_is_refused():
    files = FileSettings(credentials="t-2.csv", trend="t.csv")
    serve._refuse_shared_files(files)
    with pytest.raises(ConfigurationError, match="the same file"):
        serve._refuse_shared_files(files, 2)


@pytest.mark.parametrize(("port", "count"), [(65535, 2), (65500, 37), (65535, 100)])
def test_ports_past_the_last_are_refused(port, count):
    settings = PlantSettings(server={"port": port}, units={"count": count})
    with pytest.raises(ConfigurationError, match=f"server.port = {port}"):
        serve._refuse_ports_past_the_last(settings)


@pytest.mark.parametrize(("port", "count"), [(65535, 1), (65500, 36), (0, 100)])
def test_ports_up_to_the_last_are_taken(port, count):
    serve._refuse_ports_past_the_last(PlantSettings(server={"port": port}, units={"count": count}))


def test_files_that_cannot_be_written_are_configuration_errors(tmp_path):
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._write_ready(tmp_path / "no" / "ready.json", "opc.tcp://127.0.0.1:4841")
    with pytest.raises(ConfigurationError, match=r"files\.trend"):
        serve._open_trend(str(tmp_path / "no" / "trend.csv"))
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._remove(tmp_path)  # a directory
    assert serve._open_trend("") is None


@pytest.mark.parametrize(
    "content", ["old", "", "{}", "[1]", '{"endpoint": "x"}', '{"endpoint": 1, "pid": 2, "x": 3}']
)
def test_a_file_of_another_kind_is_no_ready_file(tmp_path, content):
    path = tmp_path / "notes.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._remove(path)
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._write_ready(path, "opc.tcp://127.0.0.1:4841")
    assert path.read_text() == content


def test_what_is_no_regular_file_is_no_ready_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._remove(tmp_path / "fifo")


def test_a_trend_is_begun_over_a_trend_and_nothing_else(tmp_path):
    path = tmp_path / "trend.csv"
    serve._open_trend(str(path)).close()
    header = path.read_text()
    path.write_text(header + "1,2\n")
    serve._open_trend(str(path)).close()
    assert path.read_text() == header
    for content in ("notes", header[:-1], header.replace("P_sp", "p_sp")):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match="not a trend file"):
            serve._open_trend(str(path))
        assert path.read_text() == content
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigurationError, match="not a trend file"):
        serve._open_trend(str(tmp_path / "fifo"))


@pytest.mark.parametrize(
    ("first", "second"), [("credentials", "trend"), ("credentials", "ready"), ("trend", "ready")]
)
def test_two_files_at_one_path_are_refused(tmp_path, first, second):
    (tmp_path / "link").symlink_to(tmp_path)
    files = FileSettings(**{first: str(tmp_path / "a"), second: str(tmp_path / "link" / "a")})
    with pytest.raises(ConfigurationError, match="the same file"):
        serve._refuse_shared_files(files)
    serve._refuse_shared_files(FileSettings(**{first: "a", second: "b"}))
