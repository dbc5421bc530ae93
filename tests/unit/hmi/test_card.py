"""The card of a bundle: Markdown becomes elements, and nothing else does."""

import pytest

from controller.hmi.card import LONGEST, card_tree

MARKUP = (
    "<script>document.body.dataset.hurt = 'yes'</script>",
    "<img src=x onerror=alert(1)>",
    "[away](https://example.org)",
    "[now](javascript:alert(1))",
    "![seen](https://example.org/x.png)",
    "<https://example.org>",
)


def text_of(tree):
    return tree if isinstance(tree, str) else "".join(map(text_of, tree[1:]))


def names_of(tree):
    if isinstance(tree, str):
        return set()
    return {tree[0]}.union(*map(names_of, tree[1:]))


def test_headings_lists_and_tables():
    assert card_tree("# Bundle\n\nIt *is* **good**, `x < 1`.\n\n## Next\n\n- one\n- two\n") == [
        ["h3", "Bundle"],
        ["p", "It ", ["em", "is"], " ", ["strong", "good"], ", ", ["code", "x < 1"], "."],
        ["h4", "Next"],
        ["ul", ["li", "one"], ["li", "two"]],
    ]
    (table,) = card_tree("| tag | unit |\n| --- | ---: |\n| T | K |\n")
    assert table == [
        "table",
        ["thead", ["tr", ["th", "tag"], ["th", "unit"]]],
        ["tbody", ["tr", ["td", "T"], ["td", "K"]]],
    ]
    assert card_tree("```py\na < b\n```\n") == [["pre", "a < b\n"]]
    assert card_tree("###### deep\n") == [["h6", "deep"]]
    assert card_tree("") == []


@pytest.mark.parametrize("markup", MARKUP)
@pytest.mark.parametrize("around", ["{}", "a {} b", "# {}", "- {}", "> {}", "| a |\n| - |\n| {} |"])
def test_markup_and_links_stay_text(markup, around):
    tree = ["div", *card_tree(around.format(markup))]
    assert markup in text_of(tree)
    assert not names_of(tree) & {"script", "img", "a"}


def test_a_card_without_end_is_cut():
    assert len(text_of(["div", *card_tree("x" * (2 * LONGEST))])) == LONGEST
    card_tree(">" * 10_000 + " deep")
