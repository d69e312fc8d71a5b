"""A page and its Chinese twin say the same: block by block the same code, names, numbers and links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("clients", "compatibility", "reliability", "tools", "troubleshooting", "wire")
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in NAMES)]
TWINS = {page: page.with_suffix(".zh.md") for page in PAGES}
TWINS |= {twin: page for page, twin in TWINS.items()}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


class Block(NamedTuple):
    """A heading, a paragraph, an item of a list, a cell of a table, or a block of code."""

    kind: str
    text: str

    def names(self) -> set[str]:
        return {" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.text)}

    def links(self) -> list[str]:
        return sorted(re.findall(r"\]\(([^)]+)\)", self.text))

    def prose(self) -> str:
        return re.sub(r"`[^`]+`|\[[^]]+\]\([^)]+\)", " ", self.text)

    def numbers(self) -> set[str]:
        """Those written in digits."""
        return set(re.findall(r"\d+(?:\.\d+)*", re.sub(r"(?<=\d),(?=\d{3})", "", self.prose())))


BLOCK = re.compile(
    r"""
    ^```(?P<language>\w*)\n(?P<fenced>.*?)^```$
    | (?P<indented>(?:^[ ]{4}[^\n]+(?:\n|\Z))+)
    | ^(?P<level>\#+)[ ](?P<heading>[^\n]+)
    | (?P<table>(?:^\|[^\n]+(?:\n|\Z))+)
    | ^-[ ](?P<item>[^\n]+(?:\n[ ]{2}[^\n]+)*)
    | ^(?P<paragraph>[^\n]+(?:\n(?!```|\||-[ ]|\#+[ ])[^\n]+)*)
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


def cells(table: str) -> list[Block]:
    lines = table.splitlines()
    del lines[1]  # the rule below the head
    rows = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return [Block(f"row {r} cell {c}", cell.strip()) for r, row in enumerate(rows) for c, cell in enumerate(row)]


def blocks(page: Path) -> list[Block]:
    found = []
    for part in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if part["table"]:
            found += cells(part["table"])
        elif code := part["fenced"] or part["indented"]:
            found.append(Block(f"code {part['language'] or ''}", re.sub(r" *#.*", "", code).strip("\n")))
        elif part["heading"]:
            found.append(Block(part["level"], part["heading"]))
        elif part["item"]:
            found.append(Block("item", part["item"]))
        else:
            found.append(Block("paragraph", part["paragraph"]))
    return found


def pairs(page: Path) -> list[tuple[Block, Block]]:
    return list(zip(blocks(page), blocks(TWINS[page])))


def anchors(page: Path) -> list[str]:
    """The fragments that a page's headings have on a forge."""
    headings = [block.text for block in blocks(page) if block.kind.startswith("#")]
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def for_the_twin(link: str, page: Path) -> str:
    """Where a link of `page` has to lead on its twin: to the target's twin, if it has one."""
    path, mark, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    twin = TWINS.get(target)
    if twin is None:
        return link
    if mark:
        anchor = anchors(twin)[anchors(target).index(anchor)]
    return (path and path.replace(target.name, twin.name)) + mark + anchor


def test_every_translation_is_compared():
    assert {*ROOT.glob("*.zh.md"), *(ROOT / "docs").glob("*.zh.md")} == {TWINS[page] for page in PAGES}


@each_page
def test_the_pages_are_built_alike(page):
    ours, theirs = ([block.kind for block in blocks(file)] for file in (page, TWINS[page]))
    assert len(ours) > 30
    assert theirs == ours


@each_page
def test_code_is_the_same_but_for_its_comments(page):
    assert [pair for pair in pairs(page) if pair[0].kind.startswith("code") and pair[0].text != pair[1].text] == []


@each_page
@pytest.mark.parametrize("what", [Block.names, Block.numbers], ids=["names", "numbers"])
def test_names_and_numbers_are_the_same(page, what):
    prose = [pair for pair in pairs(page) if not pair[0].kind.startswith("code")]
    assert [(ours.text, what(ours) ^ what(theirs)) for ours, theirs in prose if what(ours) != what(theirs)] == []


@each_page
def test_sentences_are_translated(page):
    same = [ours for ours, theirs in pairs(page) if ours == theirs and not ours.kind.startswith("code")]
    assert [block.text for block in same if len(re.findall(r"[A-Za-z_]{2,}", block.prose())) > 1] == []


@each_page
def test_links_lead_to_the_same_place_in_the_reader_s_language(page):
    for ours, theirs in pairs(page):
        assert theirs.links() == sorted(for_the_twin(link, page) for link in ours.links())


@each_page
def test_each_page_begins_with_a_link_to_its_twin(page):
    for file in (page, TWINS[page]):
        assert TWINS[file].name in [link for block in blocks(file)[:4] for link in block.links()]
