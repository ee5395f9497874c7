"""``klpemu analyze`` tells what a recording holds, and exits with 1 when it is inconsistent."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from emu.analysis import report_of
from emu.cli.main import main
from emu.trace import CALLS, EVENTS, CallFlag, EventKind, RunWriter, digest_of, load_run
from tests.trace import strategies

LEAF, LP1_LEAF = (strategies.SYMBOLS[name].address for name in ("mini_leaf", "lp1_mini_leaf"))
NEW = CallFlag.HOOKED | CallFlag.REDIRECTED


def call(seq: int, target: int = LEAF) -> dict[str, int]:
    new = target != LEAF
    return {
        "seq": seq, "dispatch_seq": seq + new, "site": LEAF, "target": target, "patch": int(new),
        "flags": NEW if new else 0, "patch_state": -1 if new else -2, "enter": 10 * seq,
        "dispatched": 10 * seq, "exit": 10 * seq + 5, "insns": 5,
    }  # fmt: skip


ENABLED = [
    {"seq": 10, "kind": EventKind.ENABLE, "a": 1, "cycle": 100},
    {"seq": 20, "kind": EventKind.SETTLED, "a": 1, "b": 1, "cycle": 200},
]
GOOD = [call(1), call(30, LP1_LEAF)]
BAD = [call(1, LP1_LEAF), call(30, LP1_LEAF)]


def record(path: Path, calls: list[dict[str, int]], *, finish: bool = True, **meta: Any) -> str:
    with RunWriter(path, strategies.meta(**meta)) as writer:
        writer.set_symbols(strategies.SYMBOLS)
        writer.add_calls(strategies.rows_of(CALLS, *calls))
        writer.add_events(strategies.rows_of(EVENTS, *ENABLED))
        writer.add_log("livepatch: enabling patch 'p1'")
        if finish:
            writer.finish({})
    return str(path)


def analyze(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["analyze", *arguments])
    out, err = capsys.readouterr()
    assert not err
    return stopped.value.code, out


class TestJson:
    """One document: what meta.json says, and the report."""

    def test_it_is_meta_and_report(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = record(tmp_path / "run", GOOD)
        code, out = analyze(capsys, path, "--json")
        run, found = load_run(path), json.loads(out)

        assert code == 0
        assert found.pop("schema") == "klpemu.analyze/1"
        assert found.pop("log") == ["livepatch: enabling patch 'p1'"]
        assert found.pop("notes") == found.pop("damage") == []
        assert found.pop("ok") is found.pop("digest_verified") is True
        meta = {key: value for key, value in run.meta.items() if key != "schema"}
        assert found == {**meta, **report_of(run)}

    def test_an_inconsistent_run_is_a_no(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        code, out = analyze(capsys, record(tmp_path / "run", BAD), "--json")

        assert code == 1
        assert json.loads(out)["audit"]["counts"]["version"] == 1

    def test_an_unfinished_run_is_noted(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        code, out = analyze(capsys, record(tmp_path / "run", GOOD, finish=False), "--json")
        found = json.loads(out)

        assert code == 0
        assert found["complete"] is False
        assert found["notes"][0].startswith("the run did not finish")


class TestText:
    """In a pipe: plain text."""

    def test_tables_verdict_and_digest(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = record(tmp_path / "run", GOOD)
        code, out = analyze(capsys, path)

        assert code == 0
        for title in (
            "run",
            "calls by function",
            "cost per call",
            "cost per call of a patch's functions: insns median and p99, cycles median",
        ):
            assert f"\n{title}\n" in f"\n{out}"
        assert "\npatch 1       p1: mini_leaf -> lp1_mini_leaf, mini_tail -> lp1_mini_tail\n" in out
        *_, verdict, digest = out.splitlines()
        assert verdict == "ok: all 2 calls audited, none inconsistent"
        assert digest == f"digest {load_run(path).meta['digest']}, verified"
        assert "rule" not in out

    def test_findings_and_the_answer_no(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        code, out = analyze(capsys, record(tmp_path / "run", BAD))

        assert code == 1
        assert "mini_leaf ran lp1_mini_leaf; registered at its entry was the original" in out
        assert "\n1 call inconsistent\nrule " in out
        assert "\nNOT OK: all 2 calls audited, 1 inconsistent (version 1)\n" in out

    def test_notes_are_printed_once(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        code, out = analyze(capsys, record(tmp_path / "run", GOOD, finish=False))

        assert code == 0
        assert out.count("note: the run did not finish") == 1
        assert out.endswith("digest none: the run is not complete\n")

    def test_an_empty_run_is_no_mistake(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        code, out = analyze(capsys, record(tmp_path / "run", []))

        assert code == 0
        assert "ok: all 0 calls audited, none inconsistent" in out

    def test_calls_that_were_open_at_the_end_are_accounted_for(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        still_open = {**call(40), "dispatch_seq": 40, "flags": CallFlag.UNFINISHED, "exit": 0}
        _, out = analyze(capsys, record(tmp_path / "run", [*GOOD, still_open]))

        assert "\nok: 2 of 3 calls audited (the other was still open at the end), none inconsistent\n" in out

    def test_names_reach_the_terminal_harmlessly(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        patches = strategies.meta()["patches"]
        patches[1]["name"] = "[red]\x1b[31mp"
        _, out = analyze(capsys, record(tmp_path / "run", GOOD, patches=patches, schedule="\x1b[2J"))

        assert "\x1b" not in out
        assert "\n[red]\\x1b[31mp  enabled       1 " in out


CUT = {"calls.npy": CALLS.itemsize, "events.npy": EVENTS.itemsize}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("left", [1, 0], ids=["some", "none"])
class TestCutTables:
    """Of a table that was cut, what is left is analyzed, and the answer is no."""

    def cut(self, path: Path, name: str, left: int) -> str:
        """Leave ``left`` and a half of the two rows; return what there is to say of it."""
        record(path, GOOD)
        whole = (path / name).stat().st_size
        os.truncate(path / name, whole - (2 - left) * CUT[name] + CUT[name] // 2)
        return f"{name} is cut short: {left} of 2 rows are there"

    def test_text(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, left: int) -> None:
        said = self.cut(tmp_path / "run", name, left)
        code, out = analyze(capsys, str(tmp_path / "run"))
        *_, verdict, digest = out.splitlines()

        assert code == 1
        assert out.count(f"note: {said}\n") == 1
        assert verdict.startswith(f"NOT OK: the recording is damaged ({said}); what is left: ")
        assert verdict.endswith(" audited, none inconsistent")
        recorded = load_run(tmp_path / "run")
        assert digest == (
            f"digest {recorded.meta['digest']} does not fit: that of the rows here is {digest_of(recorded)}"
        )

    def test_json(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, left: int) -> None:
        said = self.cut(tmp_path / "run", name, left)
        code, out = analyze(capsys, str(tmp_path / "run"), "--json")
        found = json.loads(out)

        assert code == 1
        assert (found["ok"], found["damage"], found["digest_verified"]) == (False, [said], False)
        assert found["audit"]["checked"] <= left if name == "calls.npy" else 2

    def test_so_it_is_with_a_run_that_never_finished(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, left: int
    ) -> None:
        record(tmp_path / "run", GOOD, finish=False)
        os.truncate(
            tmp_path / "run" / name, (tmp_path / "run" / name).stat().st_size - (2 - left) * CUT[name]
        )
        code, out = analyze(capsys, str(tmp_path / "run"))

        assert code == 1
        assert f"NOT OK: the recording is damaged ({name} is cut short: {left} of 2 " in out
        assert out.endswith("digest none: the run is not complete\n")


def test_rows_that_were_changed_are_a_no(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "run"
    record(path, GOOD)
    content = bytearray((path / "calls.npy").read_bytes())
    content[-1] ^= 1
    (path / "calls.npy").write_bytes(content)
    code, out = analyze(capsys, str(path))

    assert code == 1
    assert "NOT OK: the recording is damaged (rows or parameters were changed after " in out


def test_on_a_terminal_tables_fit_its_width(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    code, out = analyze(capsys, record(tmp_path / "run", GOOD))

    assert code == 0
    assert "calls by function" in out
    assert max(len(line.rstrip()) for line in out.splitlines() if not line.startswith("\x1b")) <= 110
