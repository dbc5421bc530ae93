"""`trimtab check` against a DCS of another make: what stands in, and what is wrong."""

import pytest


def test_it_fits_and_says_what_stands_in(check):
    code, text = check()
    assert code == 0, text
    for words in (
        "AUTO starts from Actual",
        'a shed writes "LOCAL" to the selector',
        'the DCS must follow Target by itself while its selector shows "REMOTE"',
        "the DCS cannot see this controller die",
        "two controllers are not kept apart",
        "the low limit is that of tags.toml",
        "0 to correct in the configuration, 0 at the plant",
    ):
        assert words in text
    assert "not stated" not in text


def test_an_absence_that_nobody_stated_is_said(check):
    code, text = check(('"permit", ', ""))
    assert code == 0, text
    (line,) = [line for line in text.splitlines() if "handshake.permit" in line]
    assert "not stated" in line


WRONG = [
    # (replacement, exit code, key, words about the value and what is there)
    (('unit = "degC"                  #', 'unit = "K" #'), 2, "cv.Temperature.pv",
     "unit degC on the server, K in tags.toml"),
    (('unit = "degC"                  #', 'unit = "degc" #'), 2, "cv.Temperature.unit", "'degc'"),
    (('unit = "percent"', 'unit = "degC"'), 2, "mv.InitiatorFeed.span", "[0.0, 2.5]"),
    (("PID.SP_Ext", "PID.SP_Extern"), 4, "mv.InitiatorFeed.target",
     "rk1:s=RK1/FIC12/PID.SP_Extern: no such node (BadNodeIdUnknown)"),
    (("RK1:leitsystem", "RK1:leitsysten"), 4, "cv.PolymerConc.pv",
     'no namespace "urn:othermake:RK1:leitsysten" here'),
    (('"LOCAL"', '"LOKAL"'), 2, "handshake.mode_values", "shows 'LOCAL', tags.toml knows"),
    (('manual = "LOCAL", shadow = "ADVISE", auto = "REMOTE" }\n',
      "manual = 0, shadow = 1, auto = 2 }\n"), 2, "handshake.mode_on_shed", "'LOCAL'"),
    (('remote = "EXT"', "remote = 2"), 2, "mv.InitiatorFeed.remote", "is a String"),
    (('mode_on_shed = "LOCAL"', 'mode_on_shed = "REMOTE"'), 2, "handshake.mode_on_shed",
     "'REMOTE'"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=[case[0][1][:30] for case in WRONG])
def test_what_is_wrong_is_named_with_file_key_and_value(check, case):
    replacement, exit_code, key, words = case
    code, text = check(replacement)
    assert code == exit_code, text
    assert key in text
    assert words in text


def test_a_dcs_without_a_selector_cannot_be_in_auto(check):
    code, text = check(
        ('mode = "rk1:s=RK1/SEQ/ControllerMode"', ""),
        ("mode_values = {", "# mode_values = {"),
        ('mode_on_shed = "LOCAL"', ""),
    )
    assert code == 0, text
    assert "AUTO cannot be entered" in text
