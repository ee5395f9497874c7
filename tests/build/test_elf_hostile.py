"""Whatever the bytes are, loading them gives a file or one line that says what is wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.arch import PORTS, Port
from emu.build.elf.load import LoadedElf, load_elf
from emu.errors import EmuError

TEXT, DATA, SIZE = 0x0100_0000, 0x2000_0000, 0x1_0000
EM = {"x86_64": 62, "arm64": 183}
CALL = {"x86_64": (4, 1, -4), "arm64": (283, 0, 0)}  # type, offset in the instruction, addend
CODE = {
    "x86_64": bytes.fromhex("0f1f440008 e800000000 c3"),
    "arm64": bytes.fromhex("1f2003d5 1f2003d5 00000094 c0035fd6"),
}
PROGBITS, SYMTAB, STRTAB, RELA, NOBITS = 1, 2, 3, 4, 8
HEADER, SECTION = "<16s2HI3QI6H", "<2I4Q2I2Q"


@dataclass(slots=True)
class Sec:
    """A section of a handmade object."""

    name: str
    type: int
    flags: int = 0
    data: bytes = b""
    link: int = 0
    info: int = 0
    align: int = 8
    entsize: int = 0
    size: int | None = None


def handmade(machine: int, sections: list[Sec]) -> bytes:
    """Return a relocatable file with ``sections`` from index 1 on, and its section names last."""
    names = b"\0"
    sections = [*sections, Sec(".shstrtab", STRTAB)]
    offsets = []
    for section in sections:
        offsets.append(len(names))
        names += section.name.encode() + b"\0"
    sections[-1].data = names
    body, rows = b"", [bytes(64)]
    for section, name in zip(sections, offsets, strict=True):
        body += bytes(-len(body) % 8)
        size = len(section.data) if section.size is None else section.size
        row = (name, section.type, section.flags, 0, 64 + len(body), size)
        rows.append(struct.pack(SECTION, *row, section.link, section.info, section.align, section.entsize))
        body += section.data
    body += bytes(-len(body) % 8)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        HEADER, ident, 1, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows), len(rows) - 1
    )
    return header + body + b"".join(rows)


def symbol(name: int, info: int, section: int, value: int = 0, size: int = 0) -> bytes:
    """Return a symbol table row."""
    return struct.pack("<IBBHQQ", name, info, 0, section, value, size)


def rela(offset: int, kind: int, number: int, addend: int = 0) -> bytes:
    """Return a relocation row."""
    return struct.pack("<QIIq", offset, kind, number, addend)


def parts(port: Port) -> list[Sec]:
    """Return the sections of a good object: a function with a site that calls itself, and its data."""
    code, (kind, at, addend) = CODE[port.name], CALL[port.name]
    absolute = 1 if port.name == "x86_64" else 257
    symbols = symbol(0, 0, 0) + symbol(1, 0x12, 1, 0, len(code)) + symbol(4, 0x11, 2, 0, 8)
    return [
        Sec(".text", PROGBITS, 6, code),
        Sec(".data", PROGBITS, 3, bytes(8)),
        Sec(".bss", NOBITS, 3, size=24),
        Sec("__patchable_function_entries", PROGBITS, 0x83, bytes(8), link=1),
        Sec(".symtab", SYMTAB, 0, symbols, link=6, info=1, entsize=24),
        Sec(".strtab", STRTAB, 0, b"\0fn\0obj\0"),
        Sec(".rela.text", RELA, 0x40, rela(port.site.body_offset + at, kind, 1, addend), 5, 1, 8, 24),
        Sec(".rela.data", RELA, 0x40, rela(0, absolute, 1), 5, 2, 8, 24),
        Sec(".rela__patchable_function_entries", RELA, 0x40, rela(0, absolute, 1), 5, 4, 8, 24),
    ]


def load(port: Port, content: bytes) -> LoadedElf:
    """Return ``content`` loaded at the test's areas."""
    return load_elf(
        port,
        content,
        origin="x.o",
        text_base=TEXT,
        data_base=DATA,
        text_size=SIZE,
        data_size=SIZE,
        externs={},
    )


def good(port: Port) -> bytes:
    """Return the good object."""
    return handmade(EM[port.name], parts(port))


def loads_or_says_why(port: Port, content: bytes) -> None:
    """Assert that ``content`` loads inside its areas, or is refused in one line."""
    message, image = "", None
    try:
        image = load(port, content)
    except EmuError as error:
        message = str(error)
    if image is None:
        assert message.isprintable()
        assert message.startswith("x.o: ")
        return
    for segment in image.segments:
        base = TEXT if segment.kind == "text" else DATA
        assert base <= segment.address
        assert segment.address + len(segment.data) <= base + SIZE
    assert all(TEXT <= site < TEXT + SIZE for site in image.mcount_loc)


@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
class TestHostileFiles:
    """No bytes bring a traceback, a hang or a memory blow-up."""

    def test_the_good_object_loads(self, port: Port) -> None:
        image = load(port, good(port))

        assert image.mcount_loc == (TEXT,)
        assert {s.name: s.address for s in image.symbols} == {"fn": TEXT, "obj": DATA}
        assert [s.name for s in image.segments] == [".text", ".data", ".bss", "__patchable_function_entries"]

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_damaged_bytes(self, port: Port, data: st.DataObject) -> None:
        content = bytearray(good(port))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] = data.draw(st.integers(0, 255))

        loads_or_says_why(port, bytes(content))

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_damaged_fields(self, port: Port, data: st.DataObject) -> None:
        content = bytearray(good(port))
        width = data.draw(st.sampled_from([2, 4, 8]))
        at = width * data.draw(st.integers(0, len(content) // width - 1))
        edge = [0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(content), 0xFFF1, 0xFFF2, 0xFFFF]
        value = data.draw(st.sampled_from(edge)) % (1 << 8 * width)
        content[at : at + width] = value.to_bytes(width, "little")

        loads_or_says_why(port, bytes(content))

    def test_truncations(self, port: Port) -> None:
        content = good(port)
        for size in {*range(0, len(content), 3), *range(64)}:
            with pytest.raises(EmuError, match=r"^x\.o: [^\n]*$"):
                load(port, content[:size])

    @given(content=st.binary(max_size=200))
    def test_noise_behind_a_good_header(self, port: Port, content: bytes) -> None:
        loads_or_says_why(port, good(port)[:64] + content)


MESSAGES = [
    ("not ELF", lambda _: b"hello world", r"x\.o: the file is 68 65 6c 6c \.\.\., expected an ELF file .*"),
    ("empty", lambda _: b"", r"x\.o: the file is empty, expected an ELF file .*"),
    ("archive", lambda _: b"!<arch>\n", r"x\.o: the file is an archive, expected an ELF file .*"),
    ("ELF32", lambda c: c[:4] + b"\1" + c[5:], r"x\.o: the class is ELF32, expected ELF64; compile for .*"),
    ("big-endian", lambda c: c[:5] + b"\2" + c[6:], r"x\.o: the byte order is big-endian, expected .*"),
    ("machine", lambda c: c[:18] + b"\3\0" + c[20:], r"x\.o: the machine is EM_386, expected EM_.*"),
    ("core file", lambda c: c[:16] + b"\4\0" + c[18:], r"x\.o: the type is ET_CORE, expected ET_REL, .*"),
    ("cut short", lambda c: c[:-1], r"x\.o: the section header table ends at 0x\w+, the file at 0x\w+; .*"),
    ("lost count", lambda c: c[:60] + bytes(2) + c[62:], r"x\.o: has 65280 sections or more, .*"),
]


@pytest.mark.parametrize(("damage", "message"), [m[1:] for m in MESSAGES], ids=[m[0] for m in MESSAGES])
def test_a_foreign_file_is_named_as_what_it_is(damage: object, message: str) -> None:
    port = PORTS["x86_64"]
    assert callable(damage)
    with pytest.raises(EmuError, match=f"^{message}$"):
        load(port, damage(good(port)))


def with_section(index: int, **changes: object) -> bytes:
    """Return the good x86-64 object with fields of section ``index`` (1 = .text) changed."""
    sections = parts(PORTS["x86_64"])
    for name, value in changes.items():
        setattr(sections[index - 1], name, value)
    return handmade(62, sections)


SECTION_DAMAGE = [
    ({"index": 7, "data": rela(0x1000, 4, 1)}, r"\.text\+0x1000: R_X86_64_PLT32 lies outside .*"),
    ({"index": 7, "data": rela(6, 4, 99)}, r"\.text\+0x6: R_X86_64_PLT32 names symbol 99, the table has 3"),
    ({"index": 7, "data": rela(6, 18, 1)}, r"\.text\+0x6: relocation R_X86_64_TPOFF64 against fn is not .*"),
    ({"index": 7, "data": rela(6, 4, 1, 2**40)}, r"\.text\+0x6: R_X86_64_PLT32 to fn needs 0x\w+, the .*"),
    ({"index": 7, "entsize": 7}, r"section 7 \.rela\.text has 0x18 bytes in entries of 7, expected .*"),
    ({"index": 7, "link": 7}, r"section 7 \.rela\.text links to 7, no symbol table; .*"),
    ({"index": 7, "type": 9}, r"section 7 \.rela\.text has relocations without addends; .*"),
    ({"index": 5, "link": 5}, r"symbol table 5 links to section 5, no string table; .*"),
    ({"index": 6, "data": b"\0fn\0obj"}, r"section 5: the name of symbol 2, at 0x4, is no string of .*"),
    ({"index": 3, "size": 2**60}, r"section \.bss ends 0x\w+ bytes into the data area, .*"),
    ({"index": 1, "align": 3}, r"section 1 \.text is aligned to 0x3, no power of 2; .*"),
    ({"index": 1, "flags": 0x806}, r"section 1 \.text is loaded and compressed; .*"),
    ({"index": 2, "size": 2**40}, r"section 2 \.data ends at 0x\w+, behind the .*"),
    ({"index": 4, "data": bytes(9)}, r"section __patchable_function_entries has 0x9 bytes, .*"),
    ({"index": 1, "data": bytes(11)}, r"entry site 0x1000000 \(fn\): code 00 00 .*"),
    ({"index": 9, "data": rela(0, 1, 2)}, r"entry site 0x20000000 \(fn\): not in the file's text, .*"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), SECTION_DAMAGE)
def test_a_damaged_section_is_named_with_what_is_wrong(changes: dict[str, object], message: str) -> None:
    index = changes["index"]
    assert isinstance(index, int)
    content = with_section(index, **{name: value for name, value in changes.items() if name != "index"})

    with pytest.raises(EmuError, match=rf"^x\.o: {message}(; .*)?$"):
        load(PORTS["x86_64"], content)


def test_sections_that_share_the_files_bytes_are_refused() -> None:
    content = bytearray(good(PORTS["x86_64"]))
    table = len(content) - 64 * 11
    whole = struct.pack("<2Q", 0, len(content))
    for index in (1, 2):
        content[table + 64 * index + 24 : table + 64 * index + 40] = whole

    with pytest.raises(EmuError, match=r"^x\.o: its sections have 0x\w+ bytes, the file has 0x\w+; .*$"):
        load(PORTS["x86_64"], bytes(content))


def test_a_name_cannot_break_the_line() -> None:
    sections = parts(PORTS["x86_64"])
    sections[4].data = sections[4].data[:24] + symbol(1, 0x10, 0) + sections[4].data[48:]
    sections[5].data = b"\0f\n\x1b\0bj\0"

    with pytest.raises(EmuError, match=r"^x\.o: undefined symbols: f\\n\\x1b; define them .*$"):
        load(PORTS["x86_64"], handmade(62, sections))
