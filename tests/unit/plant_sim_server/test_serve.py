import json
import os

import pytest

from plant_sim import serve
from plant_sim.errors import ConfigurationError


def test_the_ready_file_is_whole_and_names_this_process(tmp_path):
    path = tmp_path / "ready.json"
    path.write_text("old")
    serve._write_ready(path, "opc.tcp://127.0.0.1:4841")
    assert json.loads(path.read_text()) == {
        "endpoint": "opc.tcp://127.0.0.1:4841",
        "pid": os.getpid(),
    }
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_cannot_be_written_are_configuration_errors(tmp_path):
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._write_ready(tmp_path / "no" / "ready.json", "opc.tcp://127.0.0.1:4841")
    with pytest.raises(ConfigurationError, match=r"files\.trend"):
        serve._open_trend(str(tmp_path / "no" / "trend.csv"))
    with pytest.raises(ConfigurationError, match=r"files\.ready"):
        serve._remove(tmp_path)  # a directory
    assert serve._open_trend("") is None
