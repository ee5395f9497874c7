"""Records, and where a function's site is."""

from __future__ import annotations

import pytest

from emu.arch import PORTS, Port
from emu.kernel.errno import EINVAL
from tests.synthetic import FUNCTIONS, Kernel, new_log

NOP_FORMS = {
    "x86_64": (
        "0f 1f 44 00 08", "0f 1f 44 00 00", "90 90 90 90 90", "66 90 0f 1f 00", "0f 1f 40 00 90",
        "66 66 66 66 90",
    ),
    "arm64": ("1f 20 03 d5 1f 20 03 d5", "e9 03 1e aa 1f 20 03 d5"),
}  # fmt: skip


@pytest.fixture(params=PORTS.values(), ids=lambda port: port.name)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    port: Port = request.param
    return Kernel(port)


class TestInit:
    """ftrace_init switches every site off."""

    def test_sites_read_as_nops_behind_their_prologue(self, kernel: Kernel) -> None:
        site = kernel.port.site
        for name in FUNCTIONS:
            at = kernel.address(name)
            assert kernel.memory.read(at, len(site.prologue)) == site.prologue
            assert kernel.memory.read(at + site.poke_offset, len(site.nop)) == site.nop

    def test_an_old_style_call_becomes_a_nop_alone(self, kernel: Kernel) -> None:
        record = kernel.ftrace.sites.record_at(kernel.site("mini_mcount"))
        assert record is not None
        assert record.old_style
        assert kernel.memory.read(record.ip, len(record.nop)) == record.nop

    def test_a_table_entry_without_call_or_nop_is_refused_and_nothing_changes(self, kernel: Kernel) -> None:
        body = kernel.address("klp_ftrace_handler")
        kernel.memory.write(body, b"\x11" * 12)
        count = len(kernel.ftrace.sites.records())
        assert kernel.ftrace.ftrace_module_init("bad", [body]) == -EINVAL
        assert len(kernel.ftrace.sites.records()) == count
        assert new_log(kernel)[-1].startswith(
            "ftrace: no call of a stub and no nop at klp_ftrace_handler+0x0/"
        )

    def test_nops_of_any_form_become_the_one_that_a_poke_replaces(self, kernel: Kernel) -> None:
        at = kernel.address("klp_ftrace_handler")
        for code in NOP_FORMS[kernel.port.name]:
            kernel.memory.write(at, bytes.fromhex(code))
            assert kernel.ftrace.ftrace_module_init("nops", [at]) == 0
            site = kernel.port.site
            assert kernel.memory.read(at, site.body_offset) == site.prologue + site.nop
            assert kernel.ftrace.sites.record_at(at + site.poke_offset) is not None
            kernel.ftrace.ftrace_release_mod("nops")

    def test_nops_that_end_inside_the_next_instruction_are_refused(self, kernel: Kernel) -> None:
        at = kernel.address("klp_ftrace_handler")
        for code in ("90 90 90 90 c3", "66 90 0f 1f 40 00", "0f 1f 80 00 00 00 00 90"):
            kernel.memory.write(at, bytes.fromhex(code).ljust(8, b"\xcc"))
            assert kernel.ftrace.ftrace_module_init("nops", [at]) == -EINVAL


class TestLocation:
    """A site is found by its own address and by its function's first byte, by nothing else."""

    def test_by_address_and_by_function(self, kernel: Kernel) -> None:
        for name in (*FUNCTIONS, "mini_landing", "mini_mcount"):
            at, site = kernel.address(name), kernel.site(name)
            assert kernel.ftrace.ftrace_location(site) == site
            assert kernel.ftrace.ftrace_location(at) == site
            assert at <= site < at + 0x20

    def test_not_from_the_middle_of_a_function(self, kernel: Kernel) -> None:
        assert kernel.ftrace.ftrace_location(kernel.site("mini_leaf") + 1) == 0
        assert kernel.ftrace.ftrace_location(kernel.site("mini_landing") - 1) == 0
        assert kernel.ftrace.ftrace_location(0x40) == 0

    def test_not_where_there_is_none(self, kernel: Kernel) -> None:
        assert kernel.ftrace.ftrace_location(kernel.address("mini_bare")) == 0

    def test_injected_failure(self, kernel: Kernel) -> None:
        kernel.fail.arm("ftrace_location", 1)
        assert kernel.ftrace.ftrace_location(kernel.site("mini_leaf")) == 0


class TestEntrySite:
    """Only landing pads may stand before a site that a livepatch uses."""

    def test_plain_and_behind_a_landing_pad(self, kernel: Kernel) -> None:
        for name in ("mini_leaf", "mini_landing"):
            assert kernel.ftrace.sites.entry_site(kernel.address(name)).ip == kernel.site(name)

    def test_behind_the_prologue_is_refused(self, kernel: Kernel) -> None:
        entry = kernel.ftrace.sites.entry_site(kernel.address("mini_mcount"))
        assert entry.ip == 0
        assert entry.reason.endswith("behind the prologue")

    def test_no_site_is_refused(self, kernel: Kernel) -> None:
        assert kernel.ftrace.sites.entry_site(kernel.address("mini_bare")).reason == "it has no ftrace site"

    def test_other_code_before_the_site_is_refused(self, kernel: Kernel) -> None:
        at = kernel.address("mini_landing")
        kernel.memory.write(at, b"\x90" * 4)
        assert kernel.ftrace.sites.entry_site(at).reason.endswith("not at its entry")


def test_a_module_takes_its_records_along(kernel: Kernel) -> None:
    site = kernel.site("vic_alpha", "victim")
    kernel.ftrace.ftrace_release_mod("victim")
    assert kernel.ftrace.sites.record_at(site) is None
    assert kernel.ftrace.sites.record_at(kernel.site("mini_leaf")) is not None
