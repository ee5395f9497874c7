"""CPU models are complete, and every number says where it is from."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.build.manifest import image_names
from emu.errors import UnknownNameError
from emu.lab.disassembly import disassemble_image
from emu.timing import RowTable, UncoveredInstructionError, cpu_model_names, load_cpu_model
from emu.timing.model import CpuModelError, read_cpu_model

ZEN4 = Path(__file__).parents[2] / "emu/timing/models/zen4.toml"


@pytest.mark.parametrize("name", cpu_model_names())
class TestModels:
    def test_it_covers_all_code_that_klpemu_ships(self, name: str) -> None:
        model = load_cpu_model(name)
        rows = RowTable(model)
        for image in image_names():
            for function in disassemble_image(image, model.arch, ()).functions:
                for line in function.lines:
                    rows.index(bytes(line.code))
        assert len(rows) > 100

    def test_each_parameter_has_a_source(self, name: str) -> None:
        model = load_cpu_model(name)
        assert set(model.sources) == set(model.parameters)
        assert all(cost.source for cost in model.costs.values())


class TestRefusals:
    @pytest.mark.parametrize(
        ("before", "after", "what"),
        [
            (
                'rob = { value = 320, source = "OSACA zen4.yml" }',
                "rob = { value = 320 }",
                "'rob' has no source",
            ),
            ("width = { value = 6", 'width = { value = "6"', "expected a whole number"),
            ("\nwidth = ", "\nbreadth = ", "'breadth' is unknown"),
            ("nop = { ", "nop = { lateness = 1, ", "unknown lateness"),
            ("l1d_sets = { value = 64", "l1d_sets = { value = 63", "no power of two"),
            ('ports = ["alu0", "branch"]', 'ports = ["alu9"]', "expected a list of ports"),
            ("store_queue = { value = 64", "store_queue = { value = 6400", "expected 1 to"),
            ("\nwidth = { value = 6", "\nwidth = { value = 0", "'width': found 0, expected .* from 1 to"),
            (
                "\nload_to_address = { value = 0",
                "\nload_to_address = { value = 4",
                "expected less than load_latency = 4",
            ),
            ("\nmispredict = { value = 14", "\nmispredict = { value = -1", "from 0 to"),
            ("\nmispredict = { value = 14", "\nmispredict = { value = 99999999999999999999", "from 0 to"),
            ("fuses_branches = { value = 1", "fuses_branches = { value = true", "found True"),
            ("l1d_sets = { value = 64", "l1d_sets = { value = 1048576", "l1d_sets times l1d_ways"),
            ("rob = { value = 320", "rob = { valu = 320", "'rob': unknown valu"),
            ("nop = { ", "nop = { latency = true, ", "latency = True"),
            ("nop = { ", "nop = { slots = 1000000, ", "slots = 1000000"),
            ('arch = "x86_64"', "arch = 5", "arch = 5, expected the name of a port"),
            ("\nports = [", "\nports = 7 # [", "ports = 7, expected a list"),
            ('ports = ["alu0"', 'ports = ["alu1"', "different names"),
            ("[parameters]\n", "parameters = 5\n[class.nothing]\n", "parameters = 5, expected a table"),
            ('arch = "x86_64"', 'class = 5\narch = "x86_64"', "can't be read: Cannot"),
        ],
    )
    def test_a_model_with_a_mistake(self, tmp_path: Path, before: str, after: str, what: str) -> None:
        text = ZEN4.read_text("utf-8")
        assert before in text
        path = tmp_path / "wrong.toml"
        path.write_text(text.replace(before, after), "utf-8")
        with pytest.raises(CpuModelError, match=what):
            read_cpu_model(path)

    def test_a_port_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "wrong.toml"
        path.write_text(ZEN4.read_text("utf-8").replace('arch = "x86_64"', 'arch = "riscv"'), "utf-8")
        with pytest.raises(UnknownNameError, match="unknown port 'riscv'"):
            read_cpu_model(path)

    def test_a_file_that_can_not_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(CpuModelError, match=r"mine\.toml: can't be read: No such file"):
            load_cpu_model(str(tmp_path / "mine.toml"))
        with pytest.raises(CpuModelError, match=r"can't be read: .*null byte"):
            load_cpu_model("a\0.toml")

    def test_a_name_that_is_none(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'zen4'"):
            load_cpu_model("zen5")

    def test_an_instruction_without_an_entry_is_named(self) -> None:
        with pytest.raises(UncoveredInstructionError, match="aesenc xmm0, xmm1"):
            RowTable(load_cpu_model("zen4")).index(bytes.fromhex("660f38dcc1"))
