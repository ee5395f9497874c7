"""``klpemu litmus``: documents, text, exit codes, mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from emu.cli.main import main

SB = """X86_64 SB
{ }
 P0            | P1            ;
 movl $1,(x)   | movl $1,(y)   ;
 movl (y),%eax | movl (x),%eax ;
exists (0:rax=0 /\\ 1:rax=0)
"""
MP = """AArch64 MP
{ 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; }
 P0          | P1          ;
 MOV W0,#1   | LDR W0,[X3] ;
 STR W0,[X1] | DMB LD      ;
 DMB ST      | LDR W2,[X1] ;
 STR W0,[X3] |             ;
forall (1:X0=0 \\/ 1:X2=1)
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["litmus", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the explorer for compiled: that it has to be is said on stderr."""
    monkeypatch.setattr("emu.compiled.is_compiled", lambda function="": True)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def put(text: str, name: str = "t.litmus") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return put


class TestAnswers:
    def test_json_is_one_document_per_test(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        code, out, _ = run(capsys, write(SB), write(MP, "m.litmus"), "--json")
        first, second = map(json.loads, out.splitlines())

        assert code == 0
        assert first["schema"] == "klpemu.litmus/1"
        assert (first["name"], first["arch"], first["model"]) == ("SB", "X86_64", "tso")
        assert (first["quantifier"], first["observation"], first["verdict"]) == (
            "exists",
            "Sometimes",
            "Allowed",
        )
        assert (first["positive"], first["negative"]) == (1, 3)
        assert first["states"] == [{"0:rax": a, "1:rax": b} for a in (0, 1) for b in (0, 1)]
        assert first["complete"]
        assert (second["model"], second["verdict"], second["observation"]) == ("arm64", "Required", "Always")

    def test_text_is_like_herd7s(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        _, out, _ = run(capsys, write(SB))

        assert out.splitlines()[:8] == [
            "Test SB Allowed", "States 4", "0:rax=0; 1:rax=0;", "0:rax=0; 1:rax=1;", "0:rax=1; 1:rax=0;",
            "0:rax=1; 1:rax=1;", "Ok", "Witnesses",
        ]  # fmt: skip
        assert "Observation SB Sometimes 1 3" in out

    def test_a_stronger_model_forbids(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        _, out, _ = run(capsys, write(SB), "--model", "sc", "--json")

        assert json.loads(out)["verdict"] == "Forbidden"

    def test_not_exists_counts_as_herd7_does(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        _, out, _ = run(capsys, write(SB.replace("exists", "~exists")), "--json")
        found = json.loads(out)

        assert (found["quantifier"], found["verdict"], found["observation"]) == (
            "~exists",
            "Allowed",
            "Sometimes",
        )
        assert (found["positive"], found["negative"]) == (3, 1)

    def test_a_loop_is_cut_off_and_flagged(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        text = "AArch64 loop\n{ 0:X1=x; }\nP0 ;\nL: LDR W0,[X1] ;\nCBZ W0,L ;\nexists (0:X0=1)\n"
        _, out, _ = run(capsys, write(text), "--json")

        assert json.loads(out)["flags"] == ["CUTOFF"]
        assert json.loads(out)["states"] == []

    def test_types_decide_how_numbers_look(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        text = "AArch64 t\n{ uint64_t 0:X2; 0:X3=x; }\nP0 ;\nMOV X1,#-1 ;\nMOV X2,#-1 ;\nSTR W1,[X3] ;\n"
        _, out, _ = run(
            capsys, write(text + "locations [0:X1; 0:X2; x;]\nforall (x=-1 /\\ 0:X3=x)\n"), "--json"
        )

        assert json.loads(out)["verdict"] == "Required"
        assert json.loads(out)["states"] == [{"0:X1": -1, "0:X2": 2**64 - 1, "0:X3": "x", "[x]": -1}]

    def test_an_execution_budget_is_told(self, capsys: pytest.CaptureFixture[str], write: Any) -> None:
        code, out, _ = run(capsys, write(SB), "--max-executions", "1", "--json")

        assert code == 1
        assert not json.loads(out)["complete"]

    def test_what_a_budget_left_undecided_is_unknown(
        self, capsys: pytest.CaptureFixture[str], write: Any
    ) -> None:
        for text in (SB.replace("exists", "forall"), SB.replace("rax=0", "rax=1")):
            _, out, _ = run(capsys, write(text), "--max-executions", "1", "--json")

            assert json.loads(out)["verdict"] == "Unknown"


MISTAKES = {
    "": r"t\.litmus:1: the first line must be an architecture and a name",
    "MIPSY x\n{}\nP0;\nexists true\n": r"t\.litmus:1: 'MIPSY' is not an architecture; known: AArch64, X86_64",
    "AArch64 t\nP0;\nexists true\n": r"t\.litmus:4: there is no initial state: '\{' is missing",
    "AArch64 t\n{ 0:X1=; }\nP0;\nNOP;\nexists true\n": r"t\.litmus:2: '0:X1=' is not an entry",
    "AArch64 t\n{}\nP0;\nFOO X1;\nexists true\n": r"t\.litmus:4: instruction 'FOO X1' is not known",
    "AArch64 t\n{}\nP0;\nLDR W0;\nexists true\n": r"t\.litmus:4: LDR needs 2 to 3 operands, not 1",
    "AArch64 t\n{}\nP0;\nCSET W0,XX;\nexists true\n": r"t\.litmus:4: 'XX' is not a condition",
    "AArch64 t\n{}\nP0;\nMUL X0,X1;\nexists true\n": r"t\.litmus:4: MUL needs 3 operands, not 2",
    "AArch64 t\n{}\nP0;\nCMP X0;\nexists true\n": r"t\.litmus:4: CMP needs 2 to 3 operands, not 1",
    "AArch64 t\n{}\nP0;\nMUL X0,X1,X2,X3;\nexists true\n": r"t\.litmus:4: MUL needs 3 operands, not 4",
    "AArch64 t\n{}\nP0;\nREV W0,X1;\nexists true\n": r"t\.litmus:4: 'X1' is 64 bits wide, 32 are needed",
    "AArch64 t\n{}\nP0;\nBR X1;\nexists true\n": r"t\.litmus:4: BR goes to no instruction",
    "AArch64 t\n{}\nP0;\nB .+400;\nexists true\n": r"t\.litmus:4: a branch leaves the code",
    "AArch64 t\n{}\nP0;\nLSL X0,X1,#-3;\nexists true\n": r"t\.litmus:4: '#-3' is not a number of bits",
    "AArch64 t\n{}\nP0;\nMSR X0;\nexists true\n": r"t\.litmus:4: MSR needs 2 operands",
    "AArch64 t\n{}\nP0;\nB L;\nexists true\n": r"t\.litmus:4: there is no label 'L'",
    "AArch64 t\n{}\nP0;\nNOP;\nexists (0:X1 1)\n": r"t\.litmus:5: '=' is missing after 0:X1",
    "AArch64 t\n{}\nP0;\nNOP;\nexists (1:X1=1)\n": r"t\.litmus:5: there is no P1",
    "AArch64 t\n{}\nP0;\nNOP;\nexists (0:R1=1)\n": r"t\.litmus:5: 'R1' is not a general register",
    "AArch64 t\n{}\nP0;\nNOP;\nexists (y=1)\n": r"t\.litmus:5: 'y' is neither in the initial state nor in",
    "AArch64 t\n{}\nP0;\nNOP;\nexists (0:X1=y)\n": r"t\.litmus:5: 'y' is neither in the initial state nor in",
    "AArch64 t\n{}\nP0;\nNOP;\nexsts (0:X1=1)\n": r"t\.litmus:5: 'exsts' begins neither a row that ends with",
    "AArch64 t\n{}\nP0;\nNOP;\n": r"t\.litmus:5: locations, exists, ~exists or forall is expected here",
    "AArch64\n{}\nP0;\nNOP;\nexists true\n": r"t\.litmus:1: the first line must be an architecture",
    "AArch64 t\n{}\nP0 | P0;\nNOP | NOP;\nexists true\n": r"t\.litmus:3: column P0 is there twice",
    "AArch64 t\n{ \0 }\nP0;\nNOP;\nexists true\n": r"t\.litmus: not a text file: byte 12 is 0",
    "AArch64 t\n{ (* }\nP0;\nNOP;\nexists true\n": r"t\.litmus:2: a comment is not closed",
    "X86_64 t\n{}\nP0;\nmovl $1,2;\nexists true\n": r"t\.litmus:4: a number can't be written to",
    "X86_64 t\n{}\nP0;\nlock movl $1,(x);\nexists true\n": r"t\.litmus:4: lock goes with instructions",
    "X86_64 t\n{}\nP0;\ninc;\nexists true\n": r"t\.litmus:4: inc needs 1 operand, not 0",
    "X86_64 t\n{}\nP0;\njmp .+400;\nexists true\n": r"t\.litmus:4: a branch leaves the code",
    "X86_64 t\n{}\nP0;\nnop;\nexists (0:zax=1)\n": r"t\.litmus:5: 'zax' is not a general register",
}
SKIPPED = {
    "AArch64 t\nVariant=vmsa\n{}\nP0;\nNOP;\nexists true\n": r"t\.litmus:2: virtual memory \(vmsa\) is not",
    "AArch64 t\nvariant=memtag\n{}\nP0;\nNOP;\nexists true\n": r"memory tagging \(memtag\) is not modelled",
    "PPC t\n{}\nP0;\nNOP;\nexists true\n": r"t\.litmus:1: architecture PPC is not modelled",
    "AArch64 t\n{0:X1=x;}\nP0;\nADD X1,X1,#2;\nLDAR W2,[X1];\nexists true\n": r"t\.litmus:5: ordered and",
    "AArch64 t\n{0:X1=P0:L;}\nP0;\nLDRB W2,[X1];\nL: NOP;\nexists true\n": r"t\.litmus:4: accesses to parts",
    "AArch64 t\n{}\nP0;\nTLBI VAE1IS,X1;\nexists true\n": r"t\.litmus:4: TLBI \(virtual memory\) is not",
    "AArch64 t\n{}\nP0;\nLDR Q1,[X1];\nexists true\n": r"t\.litmus:4: register Q1 \(floating point, Neon",
    "AArch64 t\n{0:VBAR_EL1=1;}\nP0;\nNOP;\nexists true\n": r"t\.litmus:2: system register VBAR_EL1 is not",
}


class TestMistakes:
    @pytest.mark.parametrize(("text", "message"), MISTAKES.items())
    def test_are_one_line_with_file_and_line(
        self, capsys: pytest.CaptureFixture[str], write: Any, text: str, message: str
    ) -> None:
        code, out, err = run(capsys, write(text))

        assert (code, out, err.count("\n")) == (2, "", 1)
        assert re.search(message, err)

    @pytest.mark.parametrize(("text", "message"), SKIPPED.items())
    def test_what_is_not_modelled_is_named(
        self, capsys: pytest.CaptureFixture[str], write: Any, text: str, message: str
    ) -> None:
        code, out, err = run(capsys, write(text))

        assert (code, out, err.count("\n")) == (4, "", 1)
        assert re.search(message, err)

    def test_the_other_files_are_run_all_the_same(
        self, capsys: pytest.CaptureFixture[str], write: Any
    ) -> None:
        code, out, err = run(capsys, write("", "bad.litmus"), write(SB), "/nowhere", "/", "--json")

        assert code == 2
        assert json.loads(out)["name"] == "SB"
        assert err.count("\n") == 3
        assert "/: is a directory; name the files in it" in err

    def test_locations_can_name_what_nothing_else_does(
        self, capsys: pytest.CaptureFixture[str], write: Any
    ) -> None:
        text = "AArch64 t\n{}\nP0;\nNOP;\nlocations [y;]\n"
        code, out, _ = run(capsys, write(text), "--json")

        assert (code, json.loads(out)["states"], json.loads(out)["verdict"]) == (0, [{"[y]": 0}], "Required")

    def test_a_model_that_does_not_fit_is_refused(
        self, capsys: pytest.CaptureFixture[str], write: Any
    ) -> None:
        code, _, err = run(capsys, write(SB), "--model", "arm64")

        assert code == 2
        assert "model arm64 does not fit X86_64 instructions" in err
