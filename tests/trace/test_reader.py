"""Loading: every wrong directory gets one clear line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.errors import EmuError
from emu.trace import CALLS, NewerSchemaError, NotARunError, RunFileError, load_run
from tests.trace import strategies
from tests.trace.test_writer import write_run

FILES = ["log.txt", "code.jsonl", "calls.npy", "events.npy", "symbols.json", "meta.json"]
"""In an order in which one that is no file is found out before the next."""


def change_meta(directory: Path, **changes: Any) -> None:
    path = directory / "meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


class TestNotARun:
    def test_no_directory_a_file_and_an_empty_directory_are_no_runs(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        (tmp_path / "empty").mkdir()
        for name, found in (
            ("none", "it does not exist"),
            ("file", "it is a file"),
            ("empty", "it has no meta.json"),
        ):
            with pytest.raises(
                NotARunError, match=rf"^.*/{name} is not a klpemu run: {found}; expected a dir"
            ):
                load_run(tmp_path / name)

    @pytest.mark.parametrize("text", ["[]", "1", "null", "{}", '{"schema": 1}', '{"schema": "other/1"}'])
    def test_other_json_is_no_run(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "meta.json").write_text(text)
        with pytest.raises(NotARunError, match=r"meta\.json has no schema of the form klpemu\.run/N"):
            load_run(tmp_path)

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1' + b"1" * 5000 + b"}"]
    )
    def test_what_is_not_json_is_named(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "meta.json").write_bytes(data)
        with pytest.raises(RunFileError, match=r"^[^\n]*meta\.json: is not JSON, or cut short; [^\n]*$"):
            load_run(tmp_path)

    def test_a_pipe_instead_of_a_file_does_not_hang(self, tmp_path: Path) -> None:
        for name in FILES:
            write_run(tmp_path / name)
            (tmp_path / name / name).unlink()
            os.mkfifo(tmp_path / name / name)
            with pytest.raises(RunFileError, match=f"{name}: is not a regular file"):
                load_run(tmp_path / name)


class TestSchema:
    def test_a_newer_schema_asks_for_an_upgrade(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, schema="klpemu.run/2")
        with pytest.raises(
            NewerSchemaError,
            match=r"has schema 'klpemu\.run/2', this klpemu reads up to 'klpemu\.run/1'; upgrade",
        ):
            load_run(tmp_path)

    @pytest.mark.parametrize(
        "schema", ["klpemu.run/", "klpemu.run/0", "klpemu.run/-1", "klpemu.run/x", "klpemu.run/²"]
    )
    def test_a_malformed_schema_is_named(self, tmp_path: Path, schema: str) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, schema=schema)
        with pytest.raises(RunFileError, match="schema is "):
            load_run(tmp_path)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("cpus", "2"), ("cpus", 0), ("cpus", True), ("cpus", -1), ("seed", 2**64), ("seed", 1.5),
            ("arch", None), ("complete", 1), ("tasks", {}), ("tasks", [{"index": 1}]), ("tasks", [3]),
            ("patches", []), ("patches", [{"index": 0, "name": "original", "functions": {"a": "b"}}]),
            ("patches", [{"index": 0, "name": "original", "functions": {"a": 1}}]),
            ("patches", [{"index": 0, "name": "original"}]), ("versions", {"numpy": 2}),
        ],
    )  # fmt: skip
    def test_a_field_of_another_type_is_named(self, tmp_path: Path, key: str, value: object) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, **{key: value})
        with pytest.raises(RunFileError, match=rf"^[^\n]*meta\.json: [^\n]*{key}[^\n]*; expected [^\n]*$"):
            load_run(tmp_path)

    def test_every_field_must_be_there(self, tmp_path: Path) -> None:
        for key in strategies.meta():
            if key != "schema":
                write_run(tmp_path)
                meta = json.loads((tmp_path / "meta.json").read_text())
                del meta[key]
                (tmp_path / "meta.json").write_text(json.dumps(meta))
                with pytest.raises(RunFileError, match=rf"meta\.json: '{key}' is missing; "):
                    load_run(tmp_path)

    def test_a_field_of_a_later_klpemu_is_kept(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, colour="green")
        assert load_run(tmp_path).meta["colour"] == "green"  # type: ignore[typeddict-item]

    @pytest.mark.parametrize("symbols", [[], {"a": 1}, {"a": [1, 2]}, {"a": [-1, 2, "f"]}, {"a": [1, 2, 3]}])
    def test_malformed_symbols_are_named(self, tmp_path: Path, symbols: object) -> None:
        write_run(tmp_path)
        (tmp_path / "symbols.json").write_text(json.dumps(symbols))
        with pytest.raises(
            RunFileError, match=r"symbols\.json: .*; expected \{name: \[address, size, kind\]\}; "
        ):
            load_run(tmp_path)


class TestDamage:
    @pytest.mark.parametrize("name", ["calls.npy", "events.npy", "symbols.json", "log.txt"])
    def test_a_missing_file_of_a_complete_run_is_named(self, tmp_path: Path, name: str) -> None:
        write_run(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(RunFileError, match=rf"{name}: "):
            load_run(tmp_path)

    @pytest.mark.parametrize("name", ["calls.npy", "events.npy", "symbols.json", "log.txt"])
    def test_a_run_killed_before_a_file_existed_loads_without_it(self, tmp_path: Path, name: str) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, complete=False)
        (tmp_path / name).unlink()

        run = load_run(tmp_path)

        assert not run.complete
        assert len(run.calls) == (0 if name == "calls.npy" else 5)

    def test_a_run_killed_before_its_first_header_loads_empty(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, complete=False)
        (tmp_path / "calls.npy").write_bytes(b"")

        assert load_run(tmp_path).calls.dtype == CALLS

    def test_a_table_that_was_cut_loads_with_a_note(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        os.truncate(tmp_path / "calls.npy", (tmp_path / "calls.npy").stat().st_size - 100)

        run = load_run(tmp_path)

        assert run.calls["seq"].tolist() == [0, 1, 2]
        assert run.notes == ("calls.npy is cut short: 3 of 5 rows are there",)

    def test_a_count_that_differs_from_the_meta_data_is_noted(self, tmp_path: Path) -> None:
        write_run(tmp_path)
        change_meta(tmp_path, calls=6)

        assert load_run(tmp_path).notes == ("meta.json counts 6 calls, calls.npy holds 5",)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
    @given(data=st.data())
    def test_one_wrong_byte_or_a_cut_gives_a_run_or_one_clear_line(
        self, tmp_path: Path, data: st.DataObject
    ) -> None:
        write_run(tmp_path)
        name = data.draw(st.sampled_from(FILES))
        content = bytearray((tmp_path / name).read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
        (tmp_path / name).write_bytes(content[: data.draw(st.sampled_from([at, len(content)]))])
        try:
            load_run(tmp_path)
        except EmuError as error:
            message = str(error)
        else:
            message = ""
        assert "\n" not in message
        (tmp_path / "meta.json").write_text(json.dumps(strategies.meta()))
