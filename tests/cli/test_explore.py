from __future__ import annotations

import json

import pytest

from emu.cli.main import main


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(done.value.code or 0), out, err


class TestExplore:
    def test_holds(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = _run(capsys, "explore", "stacked-enable")

        assert (code, err) == (0, "")
        assert "holds:" in out.splitlines()[-1]
        assert "complete" in out.splitlines()[-1]

    def test_counterexample(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = _run(capsys, "explore", "incident:missing-rmb-2")

        assert code == 1
        assert "VIOLATED" in out
        assert "from before CPU0's store of 1" in out

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = _run(capsys, "explore", "poke-on", "--arch", "arm64", "--drop", "ic ivau", "--json")

        told = json.loads(out)
        assert code == 1
        assert (told["schema"], told["model"], told["complete"]) == ("klpemu.explore/1", "arm64", True)
        assert told["executions"] == sum(one["executions"] for one in told["outcomes"])
        assert {"what", "schedule"} <= told["violations"][0].keys()
        assert {line["cpu"] for line in told["violations"][0]["schedule"]} == {0, 1}

    def test_drop_all_takes_the_ports_that_the_model_is_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, out, _ = _run(capsys, "explore", "poke-on", "--model", "arm64", "--drop", "all", "--json")

        assert {one["arch"] for one in json.loads(out)["drops"]} == {"arm64"}

    def test_drop_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = _run(capsys, "explore", "poke-on", "--arch", "arm64", "--drop", "all", "--json")

        drops = {one["step"]: one["needed"] for one in json.loads(out)["drops"]}
        assert code == 0
        assert drops == {
            "dc cvau": True, "dsb after dc": True, "ic ivau": True, "dsb after ic": True, "isb": False,
            "sync after poke": True,
        }  # fmt: skip

    def test_a_budget_that_runs_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = _run(capsys, "explore", "stacked-enable", "--executions", "1")

        assert code == 1
        assert "NOT complete, stopped by executions" in out

    def test_memory_that_runs_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = _run(capsys, "explore", "enable", "--memory", "1", "--json")

        told = json.loads(out)
        assert code == 1
        assert (told["complete"], told["stopped_by"], told["holds"]) == (False, "memory", False)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("nowhere",), "unknown scenario to explore 'nowhere'"),
            (("pokes",), "pokes means several scenarios, which only --drop all explores: poke-on, poke-off"),
            (("incident:nowhere",), "unknown incident to explore 'nowhere'"),
            (("incident:fork-race",), "is run, not explored: klpemu run incident:fork-race"),
            (("incident:missing-rmb-2/mended",), "unknown variant 'mended'"),
            (("enable", "--arch", "riscv"), "unknown arch 'riscv'"),
            (("enable", "--arch", "x86_64", "--model", "arm64"), "use sc or tso"),
            (("incident:site-pair", "--arch", "x86_64"), "it is for arm64"),
            (("poke-on", "--drop", "int4"), "unknown step of poke-on on x86_64 'int4'"),
            (("enable", "--arch", "arm64", "--drop", "int3"), "known: smp_rmb 1, "),
            (("enable", "--seconds", "0"), "seconds"),
            (("enable", "--seconds", "nan"), "nan is not in the range x>0"),
            (("pokes",), "only --drop all explores: poke-on, poke-off"),
            (("enable", "--drop", "all", "--executions", "4"), "--executions does not go with --drop all"),
            (("enable", "--cpus", "9"), "cpus"),
        ],
    )
    def test_mistakes_are_told_in_one_line(
        self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
    ) -> None:
        code, out, err = _run(capsys, "explore", *arguments)

        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert said in err

    def test_run_sends_one_to_explore(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, _, err = _run(capsys, "run", "incident:int3-no-sync")

        assert code == 2
        assert "klpemu explore incident:int3-no-sync" in err

    def test_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, out, _ = _run(capsys, "list", "explorations")
        _, incidents, _ = _run(capsys, "list", "incidents")

        assert "unpatch-and-free" in out
        assert "poke-off" in out
        assert "two-nop-site" in incidents
