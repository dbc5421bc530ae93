"""Words of somebody else, before they reach a terminal, a file that is read there, or a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey or a reader not see.

    Line ends stay: our own messages have them.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
