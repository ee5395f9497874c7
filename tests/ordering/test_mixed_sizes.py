"""Accesses of different sizes to one location: how they are cut, and that only those are."""

from __future__ import annotations

import pytest

from emu.ordering.code.layout import Access, FinerError, Layout, Piece
from emu.ordering.code.thread import settled
from emu.ordering.columns import ENTRY, HAZARD, READ, WRITE
from emu.ordering.explore import Exploration, explore
from emu.ordering.litmus import LitmusError, run_text
from emu.ordering.local_arm64 import ArmOrder
from emu.ordering.models import Model
from tests.ordering.support import initial, observed, programs, read

X = 0x7000_0000_0000


def refined(layout: Layout, *accesses: Piece) -> Layout:
    """Return the layout in which all these accesses can be made."""
    while True:
        try:
            for one in accesses:
                layout.access(one.address, one.size)
        except FinerError as finer:
            layout = layout.finer(finer.accesses)
        else:
            return layout


def sizes(layout: Layout, address: int, size: int) -> list[int]:
    return [piece.size for piece in layout.access(address, size).pieces]


class TestPieces:
    def test_accesses_that_are_alike_stay_whole(self) -> None:
        layout = Layout({Piece(X, 4): 5}, [Piece(X, 4)])

        assert layout.access(X, 4) == Access((Piece(X, 4),), True)
        assert layout.access(X + 4, 4) == Access((Piece(X + 4, 4),), True)
        assert layout.known == frozenset()

    def test_a_wider_access_to_a_narrow_location_stays_whole(self) -> None:
        assert sizes(Layout({Piece(X, 4): 5}, [Piece(X, 4)]), X, 8) == [8]

    def test_cuts_are_where_other_accesses_begin_and_end(self) -> None:
        layout = refined(Layout({}), Piece(X, 8), Piece(X + 2, 2), Piece(X + 8, 4))

        assert sizes(layout, X, 8) == [2, 2, 4]
        assert sizes(layout, X + 2, 2) == [2]
        assert sizes(layout, X + 8, 4) == [4]

    def test_a_later_access_cuts_earlier_ones(self) -> None:
        layout = refined(Layout({}), Piece(X, 4), Piece(X, 2))
        layout = refined(layout, Piece(X + 1, 1))

        assert sizes(layout, X, 4) == [1, 1, 2]

    @pytest.mark.parametrize("size", [2, 4, 8])
    def test_on_arm_what_is_not_aligned_is_bytes(self, size: int) -> None:
        layout = refined(Layout({}), Piece(X + 1, size))

        assert layout.access(X + 1, size) == Access(tuple(Piece(X + 1 + at, 1) for at in range(size)), False)

    def test_on_x86_only_what_crosses_a_line_is(self) -> None:
        layout = refined(Layout({}, line=64), Piece(X + 1, 8), Piece(X + 62, 4))

        assert layout.access(X + 1, 8) == Access((Piece(X + 1, 8),), True)
        assert sizes(layout, X + 62, 4) == [1, 1, 1, 1]
        assert not layout.access(X + 62, 4).single


class TestValues:
    def test_initial_values_are_cut_as_accesses_are(self) -> None:
        layout = refined(Layout({Piece(X, 4): 0x04030201}), Piece(X, 4), Piece(X + 1, 1))

        assert layout.initial({X: 0x04030201}) == {X: 0x01, X + 1: 0x02, X + 2: 0x0403}

    def test_an_access_to_a_part_gets_that_part(self) -> None:
        layout = refined(Layout({Piece(X, 4): 0x04030201}), Piece(X + 2, 2))

        assert layout.initial({X: 0x04030201})[X + 2] == 0x0403

    def test_elements_make_up_a_wider_access(self) -> None:
        layout = refined(Layout({Piece(X, 2): 1, Piece(X + 2, 2): 2}), Piece(X, 4))

        assert layout.initial({X: 1, X + 2: 2})[X] == 0x0002_0001

    def test_a_place_is_read_from_pieces_and_from_what_nobody_accesses(self) -> None:
        place = Piece(X, 4)
        layout = refined(Layout({place: 0x04030201}, [place]), Piece(X + 1, 1), Piece(X + 3, 2))

        assert layout.locations(place) == [X + 1, X + 3, X + 4][:2]
        assert layout.reader(place)({X + 1: 0xAA, X + 3: 0xBB, X + 4: 0xCC}) == 0xBB03AA01


def events_of(text: str) -> list[int]:
    """Return the kinds of the events of the first outcome's witness, CPU after CPU."""
    test = read(text)

    def attempt() -> Exploration:
        return explore(programs(test, ArmOrder), initial(test), observed=observed(test))

    return [one.event.kind for one in settled(test.code, attempt).outcomes[0].witness]


def arm(init: str, code: str, condition: str = "exists true") -> str:
    rows = "".join(f" {line} ;\n" for line in code.split("; "))
    return f"AArch64 t\n{{ {init} }}\n P0 ;\n{rows}{condition}\n"


class TestEvents:
    def test_a_test_without_mixed_accesses_has_one_per_access(self) -> None:
        text = arm("0:X1=x; uint64_t y; 0:X2=y;", "STR W0,[X1]; LDR W3,[X1]; STR X0,[X2]; LDR X3,[X2]")

        assert events_of(text) == [WRITE, READ, WRITE, READ]

    def test_other_locations_of_the_test_stay_whole(self) -> None:
        text = arm("0:X1=x; 0:X2=y;", "STRB W0,[X1]; LDRH W3,[X1]; STR W0,[X2]; LDR W3,[X2]")

        assert events_of(text) == [WRITE, ENTRY, READ, READ, WRITE, READ]

    def test_a_second_read_in_pieces_has_a_hazard(self) -> None:
        text = arm("0:X1=x;", "LDRB W3,[X1]; LDRH W4,[X1]")

        assert events_of(text) == [READ, ENTRY, HAZARD, READ, READ]


FORMS: dict[str, tuple[str, str, str]] = {
    "bytes": ("uint32_t x; 0:X1=x; 0:X0=7;", "STRB W0,[X1,#1]; LDR W2,[X1]", "0:X2=0x700 /\\ [x]=0x700"),
    "sign": (
        "uint16_t x=0x80ff; 0:X1=x;",
        "LDRSB W2,[X1,#1]; LDRSB X3,[X1]; LDRH W4,[X1]",
        "0:X2=-128 /\\ 0:X3=-1",
    ),
    "swap": (
        "uint32_t x=0x04030201; 0:X1=x; 0:X0=9;",
        "SWPB W0,W2,[X1]; LDR W3,[X1]",
        "0:X2=1 /\\ 0:X3=0x04030209",
    ),
    "compare": ("uint16_t x=0x0201; 0:X1=x; 0:X0=1; 0:X3=9;", "CASB W0,W3,[X1]; LDRH W2,[X1]", "0:X2=0x0209"),
    "pair": (
        "uint64_t x=0x0000000200000001; 0:X1=x; uint64_t 0:X4;",
        "LDP W2,W3,[X1]; LDR X4,[X1]",
        "0:X3=2 /\\ 0:X4=0x200000001",
    ),
    "stored pair": ("uint64_t x; 0:X1=x; 0:X0=1; 0:X2=2;", "STP W0,W2,[X1]", "[x]=0x200000001"),
    "exclusive pair": (
        "uint64_t x[2]={1,2}; 0:X1=x;",
        "LDXP X2,X3,[X1]; LDRB W4,[X1,#8]; LDRB W5,[X1]",
        "0:X3=2 /\\ 0:X2=1 /\\ 0:X4=2 /\\ 0:X5=1",
    ),
    "post-index": (
        "uint16_t x=0x0201; 0:X1=x;",
        "LDRB W2,[X1],#1; LDRB W3,[X1]; LDRH W4,[X1,#-1]",
        "0:X2=1 /\\ 0:X3=2",
    ),
    "element": (
        "uint16_t x[2]={1,2}; 0:X1=x; 0:X0=5;",
        "STRB W0,[X1,#2]; LDR W2,[X1]",
        "0:X2=0x00050001 /\\ x[1]=5 /\\ x[0]=1",
    ),
    "array": (
        "uint8_t x[4]={1,2,3,4}; 0:X1=x;",
        "LDR W2,[X1]; LDRH W3,[X1,#2]",
        "0:X2=0x04030201 /\\ 0:X3=0x0403 /\\ x={1,2,3,4}",
    ),
    "computed": (
        "uint64_t x; uint64_t 0:X4; 0:X1=x; 0:X0=5;",
        "STR X0,[X1]; LDRB W2,[X1]; STRB W2,[X1,X2]; LDR X4,[X1]",
        "0:X4=0x050000000005",
    ),
    "across": (
        "uint64_t x=0x8877665544332211; 0:X1=x; int 0:X2;",
        "LDR W2,[X1,#2]; LDRH W3,[X1,#1]",
        "0:X2=0x66554433 /\\ 0:X3=0x3322",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_one_cpu_sees_bytes_where_it_put_them(name: str) -> None:
    init, code, condition = FORMS[name]

    assert run_text(arm(init, code, f"forall ({condition})"), name).verdict == "Required"


def test_x86_bytes_and_offsets() -> None:
    text = (
        "X86_64 t\n{ uint32_t x=0x04030201; 0:rsi=x; uint64_t 0:rax; uint64_t 0:rcx; }\nP0 ;\n"
        " movb $9,1(%rsi) ;\n movl (%rsi),%eax ;\n lock incw 2(%rsi) ;\n movzbl 2(%rsi),%ecx ;\n"
        "forall (0:rax=0x04030901 /\\ 0:rcx=4 /\\ [x]=0x04040901)\n"
    )

    assert run_text(text, "t").verdict == "Required"


@pytest.mark.parametrize(
    "what", ["LDAR W2,[X1]", "STLR W2,[X1]", "SWP W2,W3,[X1]", "LDXR W2,[X1]", "CAS W2,W3,[X1]"]
)
def test_ordered_and_atomic_accesses_must_be_aligned(what: str) -> None:
    with pytest.raises(LitmusError, match="not aligned"):
        run_text(arm("0:X1=x;", f"ADD X1,X1,#2; {what}"), "t")


SB = (
    "X86_64 SB\n{ uint16_t x; 0:rsi=x; 1:rsi=x; uint64_t 0:rax; uint64_t 1:rax; }\n P0 | P1 ;\n"
    " movb $1,(%rsi) | movb $1,1(%rsi) ;\n movw (%rsi),%ax | movw (%rsi),%ax ;\n"
    "exists (0:rax=0x0001 /\\ 1:rax=0x0100)\n"
)


def test_sequential_consistency_sees_pieces_of_one_access_at_once() -> None:
    assert run_text(SB, "SB").verdict == "Allowed"
    assert run_text(SB, "SB", model=Model.SC).verdict == "Forbidden"


@pytest.mark.parametrize("model", [Model.SC, Model.TSO, Model.ARM64])
def test_bytes_of_what_is_not_aligned_come_in_any_order(model: Model) -> None:
    text = (
        "AArch64 t\n{ uint32_t x; 0:X1=x; 0:X0=0x01010101; 1:X1=x; }\n P0 | P1 ;\n"
        " STR W0,[X1] | LDRH W2,[X1,#1] ;\nlocations [1:X2;]\nforall true\n"
    )

    assert {row["1:X2"] for row in run_text(text, "t", model=model).states} == {0, 1, 0x100, 0x101}
