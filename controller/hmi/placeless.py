"""Words for people who are not logged in: without the folders of the machine.  Pure."""

from __future__ import annotations

import re

_PATH = re.compile(r"(?<![\w:/.\-\]])(?:/[^\s/'\",;:()]+)+/(?=[^\s/'\",;:()])")
"""Folders before the last name of an absolute path; those of an address follow its host."""


def placeless(text: str, *paths: object) -> str:
    """The text with every absolute path cut to its last name.

    paths: those that are known, which may hold blanks.
    """
    for path in sorted({str(path) for path in paths if path}, key=len, reverse=True):
        text = text.replace(path, path.rstrip("/").rpartition("/")[2])
    return _PATH.sub("", text)
