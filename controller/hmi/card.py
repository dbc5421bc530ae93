"""The card of a bundle as a tree of elements, for a page that takes no HTML.

CommonMark with tables.  HTML in a card is text; links and images are left as they are written, so
that a card leads nobody out of the control room.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

if TYPE_CHECKING:
    from collections.abc import Iterator

Tree: TypeAlias = "str | list[Tree]"
"""A text, or an element: its name, then its children."""

LONGEST = 200_000
"""Characters of a card that are shown."""

BELOW = 2
"""A card's first heading stands below those of the page and of the panel."""

_PLAIN = frozenset(
    {
        *("p", "ul", "ol", "li", "strong", "em", "blockquote", "hr"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
)
"""Elements that Markdown's tokens name themselves."""


def card_tree(text: str) -> list[Tree]:
    """The elements of a card, in order."""
    return _children(SyntaxTreeNode(_parser().parse(text[:LONGEST])))


@cache
def _parser() -> MarkdownIt:
    known = MarkdownIt("commonmark", {"html": False}).enable("table")
    return known.disable(["link", "image", "autolink", "reference"])


def _children(node: SyntaxTreeNode) -> list[Tree]:
    return [part for child in node.children for part in _parts(child)]


def _parts(node: SyntaxTreeNode) -> Iterator[Tree]:
    match node.type:
        case "inline":
            yield from _children(node)
        case "paragraph" if node.hidden:  # in a tight list
            yield from _children(node)
        case "softbreak":
            yield "\n"
        case "code_block" | "fence":
            yield ["pre", node.content]
        case "code_inline":
            yield ["code", node.content]
        case "heading":
            level = min(int(node.tag[1:]) + BELOW, 6)
            yield [f"h{level}", *_children(node)]
        case "hardbreak":
            yield ["br"]
        case _ if node.tag in _PLAIN:
            yield [node.tag, *_children(node)]
        case _:
            yield node.content
