"""What is known at each instruction of a function: what its paths agree on, and nothing more."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.build.asm.assembler import Unit, assemble
from emu.build.decode import decode
from emu.kernel.unwind.ports import rules_of
from emu.kernel.unwind.row import Row
from emu.kernel.unwind.rules import Entry
from emu.kernel.unwind.state import PC
from emu.kernel.unwind.text import BuiltText

BASE = 0x0101_0000
X86, ARM = "x86_64", "arm64"


def told(row: Row | None) -> str:
    """Return ``<CFA> <where the return address is>``: ``rsp+8 -8``; a dash if there is no way up."""
    return "-" if row is None else f"{row.base}{row.offset:+d} {row.places.get(PC, 'end')}"


class Code:
    """Assembly, some labels of which are functions.

    Args:
        port: whose.
        source: it.
        functions: their labels; ``fn`` alone begins at the start. Each ends where the next one begins.
        warns: labels of traps behind which it goes on.
    """

    def __init__(
        self,
        port: str,
        source: str,
        *functions: str,
        warns: tuple[str, ...] = (),
        entries: dict[str, Entry] | None = None,
    ) -> None:
        labels = [line[:-1] for line in source.split("\n") if line.endswith(":") and line[0] != "."]
        declared = "".join(f".global {label}\n" for label in labels)
        unit = Unit(name="fn", text=f"{declared}\n.global fn\nfn:\n{source}", origin="fn.s")
        assembly = assemble(PORTS[port], [unit], base=BASE, equates={"elsewhere": BASE + 0x8000})
        address = {name: symbol.address for name, symbol in assembly.symbols.items()}
        starts = sorted({address[name]: name for name in ("fn", *functions)}.items())
        ends = [at for at, _ in starts[1:]] + [BASE + len(assembly.code)]
        symbols = {
            name.replace("_cold", ".cold"): (at, end - at)
            for (at, name), end in zip(starts, ends, strict=True)
        }
        self.text = BuiltText(
            rules_of(PORTS[port]), BASE, assembly.code, symbols,
            entries=entries or {},
            warns=frozenset(address[label] for label in warns),
        )  # fmt: skip
        self.instructions = decode(PORTS[port], assembly.code, BASE)

    def told(self) -> list[str]:
        """Return the way up from each instruction, in order."""
        return [told(self.text.row(instruction.address)) for instruction in self.instructions]

    def told_behind_calls(self) -> list[str]:
        """Return the way up while each of its calls is under way, in order."""
        rows = [
            self.text.row_behind_call(i.address + i.size) for i in self.instructions if "call" in i.groups
        ]
        return [told(row) for row in rows]


class TestPlainFunctions:
    """The CFA is told by the stack pointer while that is known, by the frame pointer else."""

    def test_x86_64_frame_pointer(self) -> None:
        code = Code(X86, "push rbp\nmov rbp, rsp\nsub rsp, 0x20\nsub rsp, rax\ncall elsewhere\nleave\nret\n")
        assert code.told() == [
            "rsp+8 -8", "rsp+16 -8", "rsp+16 -8", "rsp+48 -8", "rbp+16 -8", "rbp+16 -8", "rsp+8 -8",
        ]  # fmt: skip
        assert code.told_behind_calls() == ["rbp+16 -8"]

    def test_arm64_frame_pointer(self) -> None:
        code = Code(
            ARM,
            "stp x29, x30, [sp, #-0x20]!\nmov x29, sp\nsub sp, sp, x0\nbl elsewhere\nmov sp, x29\n"
            "ldp x29, x30, [sp], #0x20\nret\n",
        )
        assert code.told() == [
            "sp+0 x30", "sp+32 -24", "sp+32 -24", "x29+32 -24", "x29+32 -24", "sp+32 -24", "sp+0 x30",
        ]  # fmt: skip
        assert code.told_behind_calls() == ["x29+32 -24"]

    def test_x86_64_without_frame_pointer(self) -> None:
        code = Code(X86, "push rbx\nlea rsp, [rsp - 0x10]\ncall elsewhere\nadd rsp, 0x10\npop rbx\nret\n")
        assert code.told() == ["rsp+8 -8", "rsp+16 -8", "rsp+32 -8", "rsp+32 -8", "rsp+16 -8", "rsp+8 -8"]

    def test_arm64_without_frame_pointer(self) -> None:
        code = Code(ARM, "str x30, [sp, #-0x10]!\nbl elsewhere\nldr x30, [sp], #0x10\nret\n")
        assert code.told() == ["sp+0 x30", "sp+16 -16", "sp+16 -16", "sp+0 x30"]

    def test_arm64_a_return_address_that_is_only_in_a_register_is_lost_by_a_call(self) -> None:
        assert Code(ARM, "bl elsewhere\nret\n").told() == ["sp+0 x30", "-"]

    def test_x86_64_the_callers_frame_pointer_is_found_where_it_was_saved(self) -> None:
        code = Code(X86, "push rbp\nxor ebp, ebp\npop rbp\nret\n")
        rows = [code.text.row(instruction.address) for instruction in code.instructions]
        assert [row and row.places.get("rbp") for row in rows] == ["rbp", -16, -16, "rbp"]

    def test_x86_64_half_a_register_is_not_what_it_was(self) -> None:
        code = Code(X86, "mov r12, rbx\nmov ebx, eax\nmov r12d, r12d\nret\n")
        rows = [code.text.row(instruction.address) for instruction in code.instructions]
        assert [row and row.places.get("rbx") for row in rows] == ["rbx", "r12", "r12", None]

    @pytest.mark.parametrize(
        ("port", "source", "last"),
        [
            (X86, "push rbx\nmov rbx, rsp\ncall elsewhere\nmov rsp, rbx\njmp elsewhere\n", "rsp+16 -8"),
            (X86, "mov rax, rsp\ncall elsewhere\nmov rsp, rax\njmp elsewhere\n", "-"),
            (ARM, "stp x19, x30, [sp, #-0x10]!\nmov x19, sp\nbl elsewhere\nmov sp, x19\nb elsewhere\n",
             "sp+16 -8"),
            (ARM, "stp x19, x30, [sp, #-0x10]!\nmov x0, sp\nbl elsewhere\nmov sp, x0\nb elsewhere\n", "-"),
        ],
    )  # fmt: skip
    def test_calls_give_back_what_the_abi_says(self, port: str, source: str, last: str) -> None:
        assert Code(port, source).told()[-1] == last

    def test_arm64_signed_return_addresses_are_not_signed_here(self) -> None:
        code = Code(
            ARM, "hint #0x19\nstp x29, x30, [sp, #-0x10]!\nldp x29, x30, [sp], #0x10\nhint #0x1d\nret\n"
        )
        assert code.told() == ["sp+0 x30", "sp+0 x30", "sp+16 -8", "sp+0 x30", "sp+0 x30"]


class TestWhatIsNotUnderstood:
    """There is no way up from where it can't be known."""

    @pytest.mark.parametrize(
        ("port", "source", "expected"),
        [
            (X86, "test edi, edi\njz .Lmeet\npush rax\n.Lmeet:\nret\n", ["-"]),
            (ARM, "cbz x0, .Lmeet\nsub sp, sp, #0x10\n.Lmeet:\nret\n", ["-"]),
            (ARM, "cbz x0, .Lmeet\nstr x30, [sp]\nmov x30, x0\n.Lmeet:\nret\n", ["-"]),
            (ARM, "sub sp, sp, #0x10\ncbz x0, .Lmeet\nstr x30, [sp]\n.Lmeet:\nmov x30, x0\nnop\n", ["-"]),
            (
                ARM,
                "sub sp, sp, #0x10\ncbz x0, .Lno\nstr x30, [sp]\nb .Lmeet\n.Lno:\nnop\n.Lmeet:\nmov x30, x0\n"
                "nop\n",
                ["-"],
            ),
        ],
    )
    def test_paths_that_meet_and_disagree(self, port: str, source: str, expected: list[str]) -> None:
        assert Code(port, source).told()[-1:] == expected

    @pytest.mark.parametrize(
        ("port", "source"),
        [
            (X86, "mov rsp, rdi\njmp elsewhere\n"),
            (X86, "push rbx\nand rsp, -0x20\nmov rax, rsp\njmp elsewhere\n"),
            (X86, "xchg rsp, rdi\njmp elsewhere\n"),
            (X86, "mov esp, edi\njmp elsewhere\n"),
            (ARM, "mov sp, x0\nb elsewhere\n"),
            (ARM, "sub sp, sp, x1\nb elsewhere\n"),
            (ARM, "ldr x9, [sp]\nmov sp, x9\nb elsewhere\n"),
        ],
    )
    def test_a_stack_pointer_from_elsewhere(self, port: str, source: str) -> None:
        assert Code(port, source).told()[-1] == "-"

    @pytest.mark.parametrize(
        ("port", "source"),
        [
            (X86, "mov qword ptr [rsp], 0x1\nret\n"),
            (X86, "mov dword ptr [rsp + 0x4], edi\nret\n"),
            (X86, "mov byte ptr [rsp + 0x7], dil\nret\n"),
            (X86, "inc qword ptr [rsp]\nret\n"),
            (X86, "movups xmmword ptr [rsp - 0x8], xmm0\nret\n"),
            (ARM, "stp x29, x30, [sp, #-0x10]!\nmov x30, xzr\nstr w0, [sp, #0x8]\nret\n"),
            (ARM, "stp x29, x30, [sp, #-0x10]!\nmov x30, xzr\nstrb w0, [sp, #0xf]\nret\n"),
            (ARM, "stp x29, x30, [sp, #-0x10]!\nmov x30, xzr\nstr q0, [sp]\nret\n"),
        ],
    )
    def test_a_return_address_that_is_overwritten(self, port: str, source: str) -> None:
        assert Code(port, source).told()[-1] == "-"

    @pytest.mark.parametrize(
        ("port", "source", "way"),
        [
            (X86, "mov qword ptr [rsp + 0x8], 0x1\nret\n", "rsp+8 -8"),
            (X86, "cmp qword ptr [rsp], 0x0\nret\n", "rsp+8 -8"),
            (ARM, "stp x29, x30, [sp, #-0x10]!\nmov x30, xzr\nstrb w0, [sp, #0x7]\nret\n", "sp+16 -8"),
        ],
    )
    def test_a_neighbour_of_it_is_not_it(self, port: str, source: str, way: str) -> None:
        assert Code(port, source).told()[-1] == way

    @pytest.mark.parametrize(("port", "source"), [(X86, "ret\nnop\nret\n"), (ARM, "ret\nnop\nret\n")])
    def test_code_that_no_path_leads_to(self, port: str, source: str) -> None:
        assert Code(port, source).told()[1:] == ["-", "-"]

    @pytest.mark.parametrize(
        ("port", "source"),
        [(X86, "push rax\npop rax\nret\n"), (ARM, "str x30, [sp, #-0x10]!\nldr x30, [sp], #0x10\nret\n")],
    )
    def test_what_is_below_the_stack_pointer_is_forgotten(self, port: str, source: str) -> None:
        code = Code(port, source)
        row = code.text.row(code.instructions[-1].address)
        assert row is not None
        depth = rules_of(PORTS[port]).return_depth
        assert all(place >= depth for place in row.places.values() if isinstance(place, int))


class TestStackPointerFromMemory:
    """One that comes from memory is where every return needs it, if all of them agree."""

    def test_x86_64(self) -> None:
        code = Code(X86, "push rbp\npush rbx\nxor ebp, ebp\nmov rsp, [rdi]\nnop\npop rbx\npop rbp\nret\n")
        assert code.told()[4:] == ["rsp+24 -8", "rsp+24 -8", "rsp+16 -8", "rsp+8 -8"]

    def test_arm64_by_way_of_other_registers(self) -> None:
        code = Code(
            ARM,
            "stp x29, x30, [sp, #-0x20]!\nmov x29, xzr\nldr x9, [x0]\nmov sp, x9\nadd x29, x9, #0x10\n"
            "sub sp, x29, #0x10\nldp x29, x30, [sp], #0x20\nret\n",
        )
        assert code.told()[4:] == ["sp+32 -24", "sp+32 -24", "sp+32 -24", "sp+0 x30"]

    def test_returns_that_disagree_tell_nothing(self) -> None:
        code = Code(X86, "push rbx\nmov rsp, [rdi]\ntest eax, eax\njz .Lother\npop rbx\nret\n.Lother:\nret\n")
        assert set(code.told()[2:]) == {"-"}


class TestAcrossFunctions:
    """Jumps into other functions bring their state along."""

    @pytest.mark.parametrize(
        ("port", "source", "expected"),
        [
            (X86, "push rbx\njz cold_part\nback:\npop rbx\nret\ncold_part:\nnop\njmp back\n", "rsp+16 -8"),
            (ARM, "sub sp, sp, #0x10\ncbz x0, cold_part\nback:\nadd sp, sp, #0x10\nret\ncold_part:\nnop\n"
             "b back\n", "sp+16 x30"),
        ],
    )  # fmt: skip
    def test_a_part_that_is_only_jumped_to(self, port: str, source: str, expected: str) -> None:
        cold = Code(port, source.replace("cold_part", "fn_cold"), "fn_cold").told()
        assert cold[-2:] == [expected, expected]
        assert "-" not in cold

    def test_a_function_that_is_jumped_to_in_another_state_is_not_trusted(self) -> None:
        code = Code(X86, "push rbx\njmp other\nother:\nnop\nret\n", "other")
        assert code.told() == ["rsp+8 -8", "rsp+16 -8", "-", "-"]

    def test_nor_one_that_another_falls_into(self) -> None:
        assert Code(X86, "push rbx\nother:\nnop\nret\n", "other").told() == ["rsp+8 -8", "-", "-"]

    def test_nor_what_is_called_inside_another(self) -> None:
        code = Code(X86, "push rbx\ninner:\npop rbx\nret\ncaller:\ncall inner\nret\n", "caller")
        assert code.told()[1:3] == ["-", "-"]

    def test_a_tail_call_changes_nothing(self) -> None:
        code = Code(X86, "jmp other\nother:\nnop\nret\n", "other")
        assert code.told() == ["rsp+8 -8"] * 3

    @pytest.mark.parametrize(("port", "call"), [(X86, "call elsewhere"), (ARM, "bl elsewhere")])
    def test_a_last_call_that_never_returns(self, port: str, call: str) -> None:
        save = {X86: "push rbx", ARM: "stp x29, x30, [sp, #-0x10]!"}[port]
        code = Code(port, f"{save}\n{call}\nother:\nnop\nret\n", "other")
        assert code.told_behind_calls() == [{X86: "rsp+16 -8", ARM: "sp+16 -8"}[port]]
        assert code.told()[2:] == [{X86: "rsp+8 -8", ARM: "sp+0 x30"}[port]] * 2

    def test_such_a_call_does_not_lead_into_the_next_function(self) -> None:
        code = Code(X86, "test edi, edi\njz other\npush rbx\ncall elsewhere\nother:\nnop\nret\n", "other")
        assert code.told()[-2:] == ["rsp+8 -8", "rsp+8 -8"]

    def test_labels_for_the_build_do_not_end_a_function(self) -> None:
        source = "push rbx\n__mcount_loc_fn:\nnop\n__warn_here:\nud2\npop rbx\nret\n"
        code = Code(X86, source, "__mcount_loc_fn", "__warn_here", warns=("__warn_here",))
        assert [function.name for function in code.text.functions.all] == ["fn"]
        assert code.told() == ["rsp+8 -8", *["rsp+16 -8"] * 3, "rsp+8 -8"]


class TestControlFlow:
    """Where control may go on."""

    @pytest.mark.parametrize(("port", "trap"), [(X86, "ud2"), (ARM, "brk #0x800")])
    def test_behind_a_warning_it_goes_on_behind_a_trap_it_does_not(self, port: str, trap: str) -> None:
        source = f"nop\nhere:\n{trap}\nret\n"
        assert Code(port, source).told()[-1] == "-"
        assert Code(port, source, warns=("here",)).told()[-1] != "-"

    @pytest.mark.parametrize(
        ("port", "source", "inside"),
        [
            (X86, "push rbx\njmp qword ptr [rax*0x8 + 0x20400000]\nnop\npop rbx\nret\npop rbx\nret\n",
             ["rsp+16 -8"] * 2 + ["rsp+8 -8", "rsp+16 -8", "rsp+8 -8"]),
            (ARM, "sub sp, sp, #0x10\nbr x0\nnop\nadd sp, sp, #0x10\nret\nadd sp, sp, #0x10\nret\n",
             ["sp+16 x30"] * 2 + ["sp+0 x30", "sp+16 x30", "sp+0 x30"]),
        ],
    )  # fmt: skip
    def test_a_jump_by_a_table_may_go_wherever_nothing_else_leads(
        self, port: str, source: str, inside: list[str]
    ) -> None:
        assert Code(port, source).told()[2:] == inside

    def test_unless_something_there_does_lead_to_it(self) -> None:
        code = Code(X86, "jmp rax\none:\nret\ntwo:\npush rbx\njmp one\n")
        assert code.told() == ["rsp+8 -8", "-", "rsp+8 -8", "rsp+16 -8"]

    def test_two_such_jumps_have_to_agree(self) -> None:
        code = Code(X86, "test edi, edi\njz .Lother\npush rbx\njmp rax\n.Lother:\njmp rdx\none:\nnop\nret\n")
        assert code.told()[-2:] == ["-", "-"]

    def test_nor_is_the_first_to_be_trusted_more(self) -> None:
        code = Code(X86, "jmp rax\nnop\npush rbx\njmp rdx\nnop\nret\n")
        assert code.told() == ["rsp+8 -8", *["-"] * 5]

    def test_bytes_that_are_no_instruction_end_what_is_known(self) -> None:
        code = Code(X86, "nop\n.byte 0x6\nret\n")
        assert code.text.row(BASE) is not None
        assert code.text.row(BASE + 2) is None


class TestTrampolines:
    """What is called at a site hands its frame to a handler that may decide where it goes on."""

    def test_x86_64_goes_by_the_lowest_word(self) -> None:
        source = "push qword ptr [rsp]\ncall elsewhere\npop rax\nmov [rsp], rax\nret\n"
        site = Code(X86, source, entries={"fn": Entry.SITE})
        assert site.told_behind_calls() == ["rsp+16 -16"]
        assert Code(X86, source).told_behind_calls() == ["rsp+16 -8"]

    def test_arm64_gives_the_link_register_back(self) -> None:
        source = "stp x9, x30, [sp, #-0x10]!\nbl elsewhere\nldp x30, x9, [sp], #0x10\nret x9\n"
        site = Code(ARM, source, entries={"fn": Entry.SITE})
        rows = [site.text.row(instruction.address) for instruction in site.instructions]
        assert [row and (row.places.get(PC), row.places.get("x30")) for row in rows] == [
            ("x30", "x9"), (-8, -16), (-8, -16), ("x9", "x30"),
        ]  # fmt: skip
