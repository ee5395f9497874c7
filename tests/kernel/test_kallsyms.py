"""The symbol table."""

import pytest

from emu.errors import UnknownNameError
from emu.kernel.kallsyms import Kallsyms, Symbol


@pytest.fixture
def table() -> Kallsyms:
    made = Kallsyms()
    made.add(
        None,
        [
            Symbol(name="beta", address=0x2000, size=0x20),
            Symbol(name="alpha", address=0x1000, size=0x10),
            Symbol(name="alpha_inner", address=0x1004, size=0),
        ],
    )
    made.add(
        "victim",
        [Symbol(name="dup", address=a, size=8, object="victim") for a in (0x3020, 0x3000, 0x3010)],
    )
    return made


class TestFind:
    """A name belongs to one object; equal names come in address order."""

    def test_equal_names_come_in_address_order(self, table: Kallsyms) -> None:
        assert [s.address for s in table.find("victim", "dup")] == [0x3000, 0x3010, 0x3020]

    def test_objects_do_not_see_each_other(self, table: Kallsyms) -> None:
        assert table.find(None, "dup") == [] == table.find("victim", "alpha") == table.find("absent", "dup")

    def test_a_removed_object_is_gone_by_name_and_by_address(self, table: Kallsyms) -> None:
        table.remove("victim")
        assert table.find("victim", "dup") == []
        assert table.containing(0x3000) is None

    def test_a_missing_kernel_symbol_is_named(self, table: Kallsyms) -> None:
        with pytest.raises(UnknownNameError, match=r"^unknown kernel symbol 'dup'; known: alpha"):
            table.address_of("dup")


class TestText:
    """Addresses print as %pS and %ps do."""

    @pytest.mark.parametrize(
        ("address", "with_offset", "name"),
        [
            (0x1000, "alpha+0x0/0x10", "alpha"),
            (0x100F, "alpha+0xf/0x10", "alpha"),
            (0x1010, "0x1010", "0x1010"),
            (0x1004, "alpha+0x4/0x10", "alpha"),
            (0x3012, "dup+0x2/0x8 [victim]", "dup [victim]"),
            (0xFFF, "0xfff", "0xfff"),
        ],
    )
    def test_prints(self, table: Kallsyms, address: int, with_offset: str, name: str) -> None:
        assert (table.with_offset(address), table.name_at(address)) == (with_offset, name)

    def test_an_anonymous_symbol_prints_as_its_address(self, table: Kallsyms) -> None:
        symbol = Symbol(name="ftrace_trampoline", address=0x4000, size=8, object="b", anonymous=True)
        table.add("b", [symbol])
        assert table.with_offset(0x4004) == "0x4004"
        table.discard(symbol)
        assert table.containing(0x4004) is None
