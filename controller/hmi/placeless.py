"""Words for people who are not logged in: without the folders of the machine.  Pure."""

from __future__ import annotations

import re
from typing import Any

_NAME = r"[^\s/'\",;:()]+"
_ADDRESS = (
    r"(?<![\w+.\-])(?!file:)[a-z][a-z\d+.\-]{0,31}://"
    rf"(?:[^\s/'\",;:()\[\]]+|\[[\w:.%]+\])(?::\d+)?(?:/(?:{_NAME})?)*"
)
"""scheme://host, :port and path; what file: names is of this machine, whatever its host."""

_PATH = re.compile(
    rf"(?P<address>{_ADDRESS})|(?<![\w/.\-\]])(?:/+{_NAME})+/+(?={_NAME})", re.IGNORECASE
)
"""An address with a host, or the folders before the last name of an absolute path."""


def placeless(text: str, *paths: object) -> str:
    """The text with every absolute path cut to its last name; addresses with a host stay whole.

    paths: those that are known, which may hold blanks.
    """
    for path in sorted({str(path) for path in paths if path}, key=len, reverse=True):
        text = text.replace(path, path.rstrip("/").rpartition("/")[2])
    return _PATH.sub(lambda found: found["address"] or "", text) if "/" in text else text


def placeless_document(document: Any, *paths: object) -> Any:
    """A copy of a JSON document with every text in it placeless; keys stay."""
    match document:
        case str():
            return placeless(document, *paths)
        case dict():
            return {key: placeless_document(value, *paths) for key, value in document.items()}
        case list() | tuple():
            return [placeless_document(value, *paths) for value in document]
        case _:
            return document
