"""tags.toml: what is shipped loads; what is wrong is named with its key and what to do."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from controller.configuration.binding import bind
from controller.configuration.settings import default_config_dir
from controller.configuration.tags import load_tags, parse_tags
from controller.errors import ConfigError
from controller.testing import PlainManifest, PlainVariable, plain_binding

SHIPPED = default_config_dir() / "tags.toml"
EXAMPLE = default_config_dir() / "examples" / "foreign_tags.toml"
CSTR = PlainManifest(
    cvs=(
        PlainVariable(name="PolymerConc", unit="kg/m3"),
        PlainVariable(name="Temperature", unit="K", low=300.0, high=400.0),
    ),
    mvs=(
        PlainVariable(name="InitiatorFeed", unit="kg/h", high=2.5),
        PlainVariable(name="CoolantTemperature", unit="K", low=300.0, high=350.0),
    ),
    dvs=(PlainVariable(name="MonomerConc", unit="kg/m3"),),
)


def changed(tmp_path, *replacements):
    """The shipped file with some text replaced."""
    text = SHIPPED.read_text()
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "tags.toml"
    path.write_text(text)
    return path


def test_the_shipped_file_binds():
    binding = bind(load_tags(SHIPPED), CSTR, file=SHIPPED)
    assert [mv.name for mv in binding.mvs] == ["InitiatorFeed", "CoolantTemperature"]
    assert [(mv.low, mv.high, mv.max_move) for mv in binding.mvs] == [
        (0.0, 2.5, 0.5),
        (300.0, 350.0, 10.0),
    ]
    assert binding.cvs[1].pv.max_step == 20.0
    assert binding.handshake["active"] == "handshake.active"
    assert binding.mode_values == {0: "manual", 1: "shadow", 2: "auto"}


def test_the_order_is_the_manifests():
    backwards = PlainManifest(cvs=CSTR.cvs[::-1], mvs=CSTR.mvs[::-1], dvs=CSTR.dvs)
    binding = bind(load_tags(SHIPPED), backwards, file=SHIPPED)
    assert [cv.name for cv in binding.cvs] == ["Temperature", "PolymerConc"]


@pytest.mark.parametrize(("n_cv", "n_mv", "n_dv"), [(1, 1, 0), (3, 4, 2)])
def test_no_dimension_is_built_in(n_cv, n_mv, n_dv):
    binding = plain_binding(n_cv, n_mv, n_dv)
    assert (len(binding.cvs), len(binding.mvs), len(binding.dvs)) == (n_cv, n_mv, n_dv)


def test_a_minimal_file_needs_no_handshake_clock_or_diagnostics():
    raw = tomllib.loads(
        """
        schema = 1
        [cv.C]
        pv = "ns=2;s=PV"
        sp = "ns=2;s=SP"
        unit = "degC"
        range = [0.0, 100.0]
        [mv.M]
        unit = "percent"
        span = [0.0, 2.5]
        range = [0.0, 100.0]
        max_move = 20.0
        target = "ns=2;s=OUT"
        actual = "ns=2;s=OUT"
        """
    )
    tags = parse_tags(raw, file="t")
    assert sorted(tags.references()) == ["cv.C.pv", "cv.C.sp", "mv.M.actual", "mv.M.target"]
    assert tags.methods() == {}
    manifest = PlainManifest(
        cvs=(PlainVariable(name="C", unit="K", low=200.0, high=400.0),),
        mvs=(PlainVariable(name="M", unit="kg/h", high=2.0),),
    )
    binding = bind(tags, manifest, file="t")
    assert (binding.cvs[0].pv.low, binding.cvs[0].pv.high) == (273.15, 373.15)
    mv = binding.mvs[0]
    assert (mv.low, mv.high, mv.max_move) == (0.0, 2.0, 0.5)  # cut with the manifest's range
    assert mv.keys == {}


WRONG = [
    # (replacement, key, what was received, a word of what is allowed, a word of what to do)
    (("schema = 1", "schema = 2"), "schema", "2", "1", "correct"),
    (("schema = 1", ""), "schema", "nothing", "required", "add"),
    (("[clock]", "[clocks]"), "clocks", "plant_time", "clock", 'rename it to "clock"'),
    (("stale_after_s = 3.0", "stale_after = 3.0"), "cv.PolymerConc.stale_after", "3.0",
     "stale_after_s", 'rename it to "stale_after_s"'),
    (("max_step = 60.0", "zzzzz = 60.0"), "cv.PolymerConc.zzzzz", "60.0", "max_step", "remove"),
    (("max_step = 60.0", "max_step = -1.0"), "cv.PolymerConc.max_step", "-1.0", "greater than 0",
     "correct"),
    (("max_step = 60.0", "max_step = nan"), "cv.PolymerConc.max_step", "nan", "finite", ""),
    (('sp = "plant:/R101/SP/PolymerConc"', ""), "cv.PolymerConc.sp", "nothing", "required",
     'add the key "sp"'),
    (('unit = "kg/m3"', 'unit = "kg/m^3"'), "cv.PolymerConc.unit", "kg/m^3", "kg/m3, g/L",
     'unknown unit "kg/m^3"'),
    (('unit = "kg/m3"', 'unit = "degC"'), "cv.PolymerConc.unit", "degC", "kg/m3, g/L",
     '"degC" is a temperature'),
    (('unit = "kg/m3"', 'unit = "percent"'), "cv.PolymerConc.span", "nothing", "[value at 0 %",
     "correct"),
    (('unit = "kg/m3"', 'unit = "K"\nspan = [0.0, 1.0]'), "cv.PolymerConc.span", "[0.0, 1.0]",
     'unless unit = "percent"', ""),
    (('unit = "kg/m3"', 'unit = "percent"\nspan = [1.0, 0.0]'), "cv.PolymerConc.span",
     "[1.0, 0.0]", "ascending", ""),
    (('unit = "kg/m3"', 'unit = "raw"'), "cv.PolymerConc.scale", "nothing", "a number above 0", ""),
    (('unit = "kg/m3"', 'unit = "K"\noffset = 1.0'), "cv.PolymerConc.offset", "1.0",
     'unless unit = "raw"', ""),
    (('unit = "kg/m3"', 'unit = "raw"\nscale = -2.0'), "cv.PolymerConc.scale", "-2.0",
     "greater than 0", "correct"),
    (('unit = "kg/m3"', 'unit = "kg/m3"\ncounts = [0, 4095]'), "cv.PolymerConc.counts",
     "[0, 4095]", 'unless unit = "raw"', ""),
    (('unit = "kg/m3"', 'unit = "raw"\ncounts = [0, 4095]'), "cv.PolymerConc.span", "nothing",
     "counts[0]", "correct"),
    (('unit = "kg/m3"', 'unit = "raw"\ncounts = [9, 1]\nspan = [0, 1]'), "cv.PolymerConc.counts",
     "[9, 1]", "low < high", "correct"),
    (('unit = "kg/m3"', 'unit = "raw"\nspan = [0, 1]\nscale = 1.0'), "cv.PolymerConc.span",
     "0", "with counts", ""),
    (('unit = "kg/m3"', 'unit = "raw"\ncounts = [0, 9]\nspan = [0, 1]\nscale = 1.0'),
     "cv.PolymerConc.scale", "1.0", "without counts", ""),
    (("range = [-10.0, 400.0]", "range = [400.0, 0.0]"), "cv.PolymerConc.range", "400.0, 0.0",
     "low < high", "correct"),
    (("range = [-10.0, 400.0]", "range = [0.0]"), "cv.PolymerConc.range[1]", "nothing",
     "two numbers", "missing number"),
    (("range = [-10.0, 400.0]", 'range = "0..400"'), "cv.PolymerConc.range", "0..400",
     "[0.0, 1.0]", ""),
    (("range = [0.0, 2.5]", "range = [3.0, 4.0]"), "mv.InitiatorFeed.range", "[3.0, 4.0]",
     "overlaps the model's 0 to 2.5 kg/h", "correct range or unit"),
    (("max_move = 0.5", "max_move = 0"), "mv.InitiatorFeed.max_move", "0", "greater than 0", ""),
    (('pv = "plant:/R101/PV/PolymerConc"', 'pv = "R101.PV"'), "cv.PolymerConc.pv", "R101.PV",
     "browse path", "trimtab tags browse"),
    (('pv = "plant:/R101/PV/PolymerConc"', 'pv = "plnt:/R101/PV"'), "cv.PolymerConc.pv",
     "plnt:/R101/PV", "known: plant", "correct the reference"),
    (('pv = "plant:/R101/PV/Temperature"', 'pv = "plant:/R101/PV/PolymerConc"'),
     "cv.Temperature.pv", "PolymerConc", "node of its own", "cv.PolymerConc.pv names the same"),
    (("[cv.Temperature]", "[cv.Temperatur]"), "cv.Temperatur", "Temperatur",
     "PolymerConc, Temperature", 'rename it to "Temperature"'),
    (("[dv.MonomerConc]", "[dv.Zebra]"), "dv.Zebra", "Zebra", "MonomerConc", "remove"),
    (("[mv.CoolantTemperature]", "[mv.Coolant-Temperature]"), "mv.Coolant-Temperature", "Coolant",
     "letters, digits", ""),
    (('take_lease = "plant:/APC#plant:/APC/TakeLease"', 'take_lease = "plant:/APC/TakeLease"'),
     "handshake.take_lease", "TakeLease", "object reference", "correct the reference"),
    (("auto = 2 }", "auto = 1 }"), "handshake.mode_values", "1", "different values", ""),
    (("auto = 2 }", "auto = true }"), "handshake.mode_values", "True", "all numbers, all texts",
     ""),
    ((", auto = 2 }", " }"), "handshake.mode_values.auto", "nothing", "required", "add the key"),
    (("auto = 2 }", "auto = 2.5 }"), "handshake.mode_values.auto", "2.5", "a whole number", ""),
    (("auto = 2 }", "auto = 2 }\nmode_on_shed = 2"), "handshake.mode_on_shed", "2",
     "a value of mode_values.manual: 0", ""),
    (("[clock]", 'without = ["permit"]\n[clock]'), "handshake.without", "permit", "have no tag",
     ""),
    (("remote = [2] ", "remote = [2.5] "), "mv.InitiatorFeed.remote", "[2.5]", "a whole number",
     ""),
    (("remote = [2] ", 'remote = [2, "RCAS"] '), "mv.InitiatorFeed.remote", "RCAS", "of one type",
     ""),
    (('InitiatorFeed = "plant:/APC', 'Feed = "plant:/APC'), "diagnostics.advisory.Feed", "Feed",
     "InitiatorFeed", "correct the name"),
    (("[clock]", '[namespaces]\nx = "y"\n[clock]'), "", "namespaces", "TOML", "only once"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "bound"),
    [
        ('manual = "MAN", shadow = "ADV", auto = "REM"',
         {"MAN": "manual", "ADV": "shadow", "REM": "auto"}),
        ("manual = false, auto = true", {False: "manual", True: "auto"}),
        ("manual = [0, 1], auto = [3, 4]", {0: "manual", 1: "manual", 3: "auto", 4: "auto"}),
    ],
)  # fmt: skip
def test_a_selector_shows_texts_switches_or_several_values(tmp_path, values, bound):
    path = changed(tmp_path, ("manual = 0, shadow = 1, auto = 2", values))
    binding = bind(load_tags(path), CSTR, file=path)
    assert binding.mode_values == bound
    assert {type(value) for value in binding.mode_values} == {type(value) for value in bound}


def test_the_example_of_a_foreign_dcs_binds():
    binding = bind(load_tags(EXAMPLE), CSTR, file=EXAMPLE)
    assert [(mv.low, mv.high, mv.max_move) for mv in binding.mvs] == [
        (0.0, 2.5, 0.5),
        (300.0, 350.0, 10.0),
    ]
    assert binding.dvs[0].pv.high == pytest.approx(700.0)
    assert binding.mode_on_shed == "LOCAL"
    assert sorted(binding.handshake) == ["heartbeat_out", "mode"]


@pytest.mark.parametrize("case", WRONG, ids=[f"{case[1]}={case[2]}" for case in WRONG])
def test_what_is_wrong_is_named(tmp_path, case):
    replacement, key, received, allowed, action = case
    path = changed(tmp_path, replacement)
    with pytest.raises(ConfigError) as caught:
        bind(load_tags(path), CSTR, file=path)
    error = caught.value
    assert error.exit_code == 2
    assert error.key == key
    assert error.file == str(path)
    message = str(error)
    first, second, third, fourth = message.splitlines()[:4]
    assert first.startswith(str(path))
    assert received in second
    assert allowed in third
    assert action in fourth


def test_a_proposal_of_which_nothing_was_taken_over_says_what_to_do(tmp_path):
    path = tmp_path / "tags.toml"
    path.write_text('schema = 1\n[namespaces]\nplc = "urn:plc"\n#[cv.X]\n')
    with pytest.raises(ConfigError, match="check each, remove its #"):
        load_tags(path)


def test_a_model_variable_that_the_file_lacks_is_named(tmp_path):
    text = SHIPPED.read_text()
    start, end = text.index("[dv.MonomerConc]"), text.index("[handshake]")
    path = tmp_path / "tags.toml"
    path.write_text(text[:start] + text[end:])
    with pytest.raises(ConfigError, match=r"add a table \[dv.MonomerConc\]"):
        bind(load_tags(path), CSTR, file=path)


def test_all_faults_of_a_file_are_listed(tmp_path):
    path = changed(tmp_path, ("max_step = 60.0", "max_step = -1.0"), ("schema = 1", "schema = 2"))
    with pytest.raises(ConfigError) as caught:
        load_tags(path)
    assert "also wrong in this file" in str(caught.value)
    assert "cv.PolymerConc.max_step" in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match="No such file"):
        load_tags(Path("/nonexistent/tags.toml"))


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "tags.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_tags(path)
