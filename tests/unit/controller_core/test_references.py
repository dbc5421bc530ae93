"""References to nodes as they are written in tags.toml."""

from __future__ import annotations

import pytest

from controller.configuration.references import (
    BrowsePath,
    MethodRef,
    NodeIdRef,
    ReferenceFormatError,
    parse_method,
    parse_reference,
)

SPACES = {"plant": "urn:plant", "i2": "urn:two"}


def path(text, uri="urn:plant", *segments):
    return BrowsePath(text=text, uri=uri, segments=segments)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("plant:/A", ("A",)),
        ("plant:/A/B C/D.E", ("A", "B C", "D.E")),
        ("plant:/A/B&/C", ("A", "B/C")),
        ("plant:/A/B&&/C", ("A", "B&", "C")),
        ("plant:/A/B&#C", ("A", "B#C")),
    ],
)
def test_browse_paths(text, segments):
    assert parse_reference(text, SPACES) == path(text, "urn:plant", *segments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ns=2;i=1001", {"kind": "i", "identifier": "1001", "index": 2}),
        ("i=2258", {"kind": "i", "identifier": "2258", "index": 0}),
        ("ns=3;s=FT 101;x=y", {"kind": "s", "identifier": "FT 101;x=y", "index": 3}),
        ("nsu=urn:v;s=FT101", {"kind": "s", "identifier": "FT101", "uri": "urn:v"}),
        ("plant:i=7", {"kind": "i", "identifier": "7", "uri": "urn:plant"}),
        ("i2:i=7", {"kind": "i", "identifier": "7", "uri": "urn:two"}),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            {"kind": "g", "identifier": "09087e75-8e5e-499b-954f-f2a9603db28a", "index": 1},
        ),
        (
            "ns=1;b=M/RbKBsRVkePCePcx24oRA==",
            {"kind": "b", "identifier": "M/RbKBsRVkePCePcx24oRA==", "index": 1},
        ),
    ],
)
def test_node_ids(text, expected):
    assert parse_reference(text, SPACES) == NodeIdRef(text=text, **expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "browse path"),
        ("R101/PV", "browse path"),
        ("/R101/PV", "browse path"),
        ("other:/R101/PV", '"other" does not (known: plant, i2)'),
        ("plant:/", "empty segments"),
        ("plant:/A//B", "empty segments"),
        ("plant:/A/", "empty segments"),
        ("plant:ns=2;i=1", "browse path"),
        ("ns=2;i=-1", "a number"),
        ("ns=2;i=abc", "a number"),
        ("ns=2;i=4294967296", "a number"),
        ("ns=65536;i=1", "namespace index"),
        ("ns=1;g=123", "a GUID"),
        ("ns=1;b=!!", "base64"),
        ("ns=2;s=", "browse path"),
        ("ns=x;i=1", "browse path"),
    ],
)
def test_what_cannot_be_read_says_what_is_wanted(text, words):
    with pytest.raises(ReferenceFormatError) as caught:
        parse_reference(text, SPACES)
    assert words in str(caught.value)


def test_a_method_is_an_object_and_a_method():
    ref = parse_method("plant:/APC#plant:/APC/Shed", SPACES)
    assert ref == MethodRef(
        object=path("plant:/APC", "urn:plant", "APC"),
        method=path("plant:/APC/Shed", "urn:plant", "APC", "Shed"),
    )


@pytest.mark.parametrize("text", ["plant:/APC", "plant:/A#plant:/B#plant:/C", "plant:/A&#B"])
def test_what_is_no_method(text):
    with pytest.raises(ReferenceFormatError, match="a method"):
        parse_method(text, SPACES)
