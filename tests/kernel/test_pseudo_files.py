"""Trees of pseudo files: the errors of paths, permissions, and the page that a write takes."""

from __future__ import annotations

from emu.kernel.errno import EACCES, EINVAL, EIO, EISDIR, ENOENT, ENOTDIR
from emu.kernel.pseudo_files import Directory, PseudoFile, PseudoTree
from emu.units import PAGE_SIZE

STORED: list[str] = []


def take(text: str) -> int:
    STORED.append(text)
    return len(text)


FILES: dict[str, PseudoFile | Directory] = {
    "both": PseudoFile(mode=0o644, show=lambda: "text\n", store=take),
    "shown": PseudoFile(mode=0o444, show=lambda: "", unwritable=EIO),
    "stored": PseudoFile(mode=0o200, store=lambda _text: -EINVAL),
    "below": lambda: {"inner": PseudoFile(mode=0o400, show=lambda: -EINVAL)},
}
TREE = PseudoTree(lambda: FILES, mounted_at="/mnt")


def test_reading_and_writing_go_to_the_file() -> None:
    STORED.clear()
    assert TREE.read("both") == TREE.read("/mnt/both") == "text\n"
    assert TREE.write("/mnt//both", "x") == 1
    assert TREE.write("both", "y" * (PAGE_SIZE + 1)) == PAGE_SIZE
    assert [len(text) for text in STORED] == [1, PAGE_SIZE]


def test_errors_of_files_and_of_permission() -> None:
    assert TREE.write("shown", "x") == -EIO
    assert TREE.read("stored") == -EACCES
    assert TREE.write("stored", "x") == -EINVAL
    assert TREE.read("below/inner") == -EINVAL


def test_errors_of_paths() -> None:
    assert TREE.read("nosuch") == TREE.read("/other/both") == -ENOENT
    assert TREE.read("") == TREE.write("below", "x") == -EISDIR
    assert TREE.listdir("both") == TREE.read("both/below") == -ENOTDIR


def test_listing() -> None:
    assert TREE.listdir() == ["below", "both", "shown", "stored"]
    assert TREE.modes() == {"below/inner": 0o400, "both": 0o644, "shown": 0o444, "stored": 0o200}
    assert TREE.modes("below") == {"inner": 0o400}


def test_truncating_is_opening_for_writing_from_scratch() -> None:
    emptied: list[str] = []
    file = PseudoFile(mode=0o644, store=take, truncate=lambda: emptied.append("emptied"))
    tree = PseudoTree(lambda: {"file": file, **FILES}, mounted_at="/mnt")
    assert tree.truncate("/mnt/file") == 0
    assert emptied == ["emptied"]
    assert tree.truncate("both") == 0
    assert tree.truncate("nosuch") == -ENOENT
    assert tree.truncate("below") == -EISDIR


def test_a_slash_behind_a_name_asks_for_a_directory() -> None:
    assert TREE.read("both/") == TREE.write("both/", "1") == -ENOTDIR
