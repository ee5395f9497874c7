"""The documents: every link leads somewhere, and tables say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emu.build import memory_map
from emu.build.memory_map import SLOT_SIZE, STACKS_BASE, Area

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def links(text: str) -> list[str]:
    """Return where the links of a page lead, those in code left out."""
    return [inline or reference for inline, reference in LINK.findall(CODE.sub("", text))]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.*?) *#*$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found[f"{anchor}-{found[anchor]}" if anchor in found else anchor] = 1
    return set(found)


def problem(page: Path, link: str) -> str:
    """Return what is wrong with a link of a page, "" if nothing is."""
    path, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", link):
        return ""
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{path} does not exist"
    if not target.is_relative_to(ROOT):
        return f"{path} is outside the repository"
    if anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text(encoding="utf-8"))):
        return f"{target.name} has no heading #{anchor}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    found = links(page.read_text(encoding="utf-8"))

    assert [(link, problem(page, link)) for link in found if problem(page, link)] == []


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("docs/ordering.md", ""),
        ("docs/guest-kernel.md#memory-map", ""),
        ("https://example.org/nowhere", ""),
        ("docs/nosuch.md", "docs/nosuch.md does not exist"),
        ("docs/guest-kernel.md#nosuch", "guest-kernel.md has no heading #nosuch"),
        ("#nosuch", "README.md has no heading #nosuch"),
        ("..", ".. is outside the repository"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str, expected: str) -> None:
    assert links(f"see [this]({link}) and `[that](code.md)`") == [link]
    assert problem(ROOT / "README.md", link) == expected


def test_the_memory_map_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "guest-kernel.md").read_text(encoding="utf-8")
    section = page.partition("## Memory map")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:4]] for line in section.splitlines() if line[:1] == "|"
    ]

    areas = [value for value in vars(memory_map).values() if isinstance(value, Area)]
    expected = [[area.name, area.base, kibibytes(area.size)] for area in areas]
    expected.append(["stacks", STACKS_BASE, f"{kibibytes(SLOT_SIZE)} per task"])
    assert [[name, int(base.strip("`"), 16), size] for name, base, size in rows[2:]] == expected


def kibibytes(size: int) -> str:
    """Return a size as the table writes it."""
    whole, rest = divmod(size, 1 << 20)
    return f"{whole} MiB" if not rest else f"{size >> 10} KiB"


def test_the_sleeper_at_a_gate_is_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "reference-image.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)

    exec(code, {})

    assert capsys.readouterr().out == "None\n0\n"
