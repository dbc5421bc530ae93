"""The text of a proposed tags.toml: guesses that a person takes over line by line.

Lines with one `#` are the proposal: removing the `#` takes them over.  Lines with `##` are remarks.
As written the file is valid TOML with nothing but the namespaces in force.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from controller.commissioning.enumerations import listed
from controller.commissioning.guesses import Guess, guess, shown
from controller.commissioning.stand_ins import stand_ins
from controller.commissioning.summary import now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncua import ua

    from controller.commissioning.guesses import Found
    from models.bundle import Manifest

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TO_ESCAPE = re.compile(r"([/#&])")


def prefixes(uris: Sequence[str]) -> dict[int, str]:
    """A short name for every namespace but the server's own: index -> prefix."""
    taken: dict[int, str] = {}
    for index, uri in enumerate(uris):
        if index == 0:
            continue
        words = _WORD.findall(uri)
        base = (words[-1] if words else "ns").lower()
        taken[index] = base if base not in taken.values() else f"{base}{index}"
    return taken


def propose(
    found: Sequence[Found],
    *,
    uris: Sequence[str],
    url: str,
    manifest: Manifest | None,
    truncated: bool,
) -> str:
    """Return the text of the proposal for the server at `url`."""
    short = prefixes(uris)
    texts = references(found, short)
    lines = [
        *_heading(url, truncated=truncated, manifest=manifest),
        "schema = 1",
        "",
        "[namespaces]",
        *(f"{prefix} = {quoted(uris[index])}" for index, prefix in short.items()),
        "",
    ]
    if manifest is not None:
        guesses = guess(found, manifest)
        lines += _guessed(guesses, found, texts)
        lines += _stand_ins(guesses, [mv.name for mv in manifest.mvs])
    lines += ["## Everything the server has; rw means that some user may write it.", "##"]
    lines += _listing(found, texts)
    return "\n".join(lines) + "\n"


def references(found: Sequence[Found], short: dict[int, str]) -> list[str]:
    """How tags.toml names each node: by browse path where that is unique, else by node id."""
    paths = [_by_path(item, short) for item in found]
    times = Counter(paths)
    return [
        path if path is not None and times[path] == 1 else _by_id(item.node, short)
        for item, path in zip(found, paths, strict=True)
    ]


def _by_path(item: Found, short: dict[int, str]) -> str | None:
    spaces = {part.NamespaceIndex for part in item.path}
    if len(spaces) != 1 or not all(name.strip() for name in item.names):
        return None
    prefix = short.get(spaces.pop())
    if prefix is None:
        return None
    return f"{prefix}:/" + "/".join(_TO_ESCAPE.sub(r"&\1", name) for name in item.names)


def _by_id(node: ua.NodeId, short: dict[int, str]) -> str:
    text = node.to_string()
    bare = text.split(";", 1)[1] if text.startswith("ns=") else text
    return f"{short[node.NamespaceIndex]}:{bare}" if node.NamespaceIndex in short else text


def quoted(text: str) -> str:
    """A TOML basic string; what cannot be seen is escaped."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in plain)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"


def remark(text: str) -> str:
    """Text that may stand in a comment: no line ends, nothing that a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)


def _heading(url: str, *, truncated: bool, manifest: Manifest | None) -> Iterator[str]:
    yield f"## Proposal for {remark(url)}, made by `trimtab tags browse`."
    yield "## Lines with one # are guesses: check them, and take them over by removing the #."
    yield "## Lines with ## are remarks. Then run `trimtab check`."
    if truncated:
        yield "## The list is not complete: raise --depth or --limit."
    if manifest is None:
        yield "## No bundle was found, so nothing is guessed: name one with --bundle."
    else:
        yield f"## Names and units are those of the bundle {remark(manifest.name)}."
    yield ""


def _guessed(
    guesses: Sequence[Guess], found: Sequence[Found], texts: Sequence[str]
) -> Iterator[str]:
    for table in guesses:
        if table.remark:
            yield f"## {remark(table.remark)}"
        yield f"#[{table.name}]"
        for key, place, note in table.nodes:
            value = quoted(texts[place]) if place is not None else '""'
            yield f"#{key} = {value}" + (f"  # {remark(note)}" if note else "")
        for key, left, right in table.methods:
            yield f"#{key} = {quoted(f'{_parent(texts[left])}#{texts[right]}')}"
        for key, literal, note in table.literals:
            yield f"#{key} = {literal}" + (f"  # {remark(note)}" if note else "")
        for key, places in table.candidates:
            yield from _candidates(key, places, found, texts)
        yield ""


def _candidates(
    key: str, places: Sequence[int], found: Sequence[Found], texts: Sequence[str]
) -> Iterator[str]:
    if places:
        yield f"## {key} could be:"
    for place in places:
        yield f"##   {remark(texts[place])}  {remark(shown(found[place]))}"


def _stand_ins(guesses: Sequence[Guess], mvs: Sequence[str]) -> Iterator[str]:
    """What was not found of the hand-shake, and what is done without it."""
    given = [
        f"{table.name}.{key}" for table in guesses for key, *_ in (*table.nodes, *table.methods)
    ]
    missing = list(stand_ins(given, mvs))
    if missing:
        yield "## Not found beside the others; name it if the server has it, else:"
        yield from (f"##   {key}: {words}" for key, words in missing)
        yield ""


def _parent(reference: str) -> str:
    """The object that a method belongs to; its path is the method's without the last name."""
    return re.sub(r"(?<!&)/(?:[^/&]|&.)*$", "", reference)


def _listing(found: Sequence[Found], texts: Sequence[str]) -> Iterator[str]:
    for item, text in zip(found, texts, strict=True):
        facts = item.facts
        if not facts.variable:
            yield f"## {remark(text)}  {item.node.to_string()}  method"
            continue
        words = [remark(text), remark(item.node.to_string()), facts.kind_name]
        words.append("" if facts.scalar else "array")
        words.append(remark(facts.unit_text))
        words.append("" if facts.range is None else f"{facts.range[0]:g}..{facts.range[1]:g}")
        words.append("rw" if facts.writable else "r")
        words.append("(this user may write)" if facts.user_writable else "")
        words.append(remark(f"({listed(facts.names)})") if facts.names else "")
        words.append(remark(now(facts).removeprefix("; ")))
        yield "## " + "  ".join(word for word in words if word)
