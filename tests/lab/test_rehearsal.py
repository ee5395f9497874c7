"""A scenario that mentions what does not exist is refused before anything runs, with file and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emu.errors import EmuError
from emu.lab.run import run_scenario
from emu.lab.scenario import Scenario, ScenarioError, Step, load_scenario

LOAD = '[[steps]]\nload = "target"\n'
MINE = '[modules.mine]\nfolder = "module_target"\n'
LEAF = '[patches.p.objects.vmlinux]\nmini_leaf = "lp_mini_leaf"\n'

WRONG = {
    "image": ('image = "mimi"', "image: unknown image 'mimi'; did you mean 'mini'?"),
    "step's patch": (
        '[[steps]]\nenable = "livepatch-samples"',
        "steps[0].enable: unknown patch 'livepatch-samples'; did you mean 'livepatch-sample'?",
    ),
    "step's module": (f'{LOAD}[[steps]]\nload = "x"', "steps[1].load: unknown module 'x'; known: "),
    "step's module to unload": ('[[steps]]\nunload = "x"', "steps[0].unload: unknown module 'x'; "),
    "step's function": (
        '[[steps]]\ntrace = "mini_laef"',
        "steps[0].trace: unknown function 'mini_laef'; did you mean 'mini_leaf'?",
    ),
    "step's function to untrace": (
        f'{LOAD}[[steps]]\nuntrace = "target_shaw"',
        "steps[1].untrace: unknown function 'target_shaw'; did you mean 'target_show'?",
    ),
    "a function of a module that is not loaded yet": (
        f'[[steps]]\ntrace = "target_sum"\n{LOAD}',
        "steps[0].trace: unknown function 'target_sum'; known: ",
    ),
    "a patch that was not enabled": (
        '[[steps]]\ndisable = "livepatch-sample"',
        "steps[0].disable: unknown enabled patch 'livepatch-sample'; known: none",
    ),
    "action": (
        '[[steps]]\nenabel = "livepatch-sample"',
        "steps[0].enabel: unknown key; did you mean 'enable'?",
    ),
    "module's folder": (
        '[modules.mine]\nfolder = "nosuch"',
        "modules.mine: unknown assembly folder 'nosuch'; known: ",
    ),
    "module's entry scheme": (
        '[modules.mine]\nsource = "mine.c"\nentry = "no"',
        "modules.mine.entry: must be one of ",
    ),
    "module's source": (
        '[modules.mine]\nsource = "no.c"',
        "modules.mine.source: FOLDER/no.c: can't be read: No such file or directory; name a file ",
    ),
    "module's object": ('[modules.mine]\nobject = "."', "modules.mine.object: FOLDER: can't be read: Is a "),
    "module's object for no port": (
        '[modules.mine]\nobject = "no-{arch}.o"',
        "modules.mine.object: FOLDER/no-{arch}.o: can't be read: ",
    ),
    "function that a module's call makes": (
        f'{MINE}calls = [{{fn = "target_sam", args = [], expected = 0}}]\n[[steps]]\nload = "mine"',
        "modules.mine.calls[0].fn: unknown function 'target_sam'; did you mean 'target_sum'?",
    ),
    "patch's source": ('[patches.p]\nsource = "no.c"\nobjects = {vmlinux = {f = "g"}}', "patches.p.source: "),
    "patch's object": (
        '[patches.p.objects.targt]\ntarget_sum = "lp_target_sum"',
        "patches.p.objects.targt: unknown object 'targt'; did you mean 'target'?",
    ),
    "patch's function": (
        '[patches.p.objects.vmlinux]\nmini_laef = "lp_mini_leaf"',
        "patches.p.objects.vmlinux.mini_laef: unknown function 'mini_laef'; did you mean 'mini_leaf'?",
    ),
    "patch's function in a module": (
        f'{LOAD}[patches.p.objects.target]\ntarget_sam = "lp_target_sum"',
        "patches.p.objects.target.target_sam: unknown function 'target_sam'; did you mean 'target_sum'?",
    ),
    "patch's replacement": (
        '[patches.p.objects.vmlinux]\nmini_leaf = "lp_mini_laef"\n[[steps]]\nenable = "p"',
        "patches.p.objects.vmlinux.mini_leaf: unknown replacement 'lp_mini_laef'; did you mean 'lp_mini_l",
    ),
    "patch's replacement in code of its own": (
        '[patches.p]\nfolder = "module_target"\nobjects = {vmlinux = {mini_leaf = "lp_leaf"}}\n'
        '[[steps]]\nenable = "p"',
        "patches.p.objects.vmlinux.mini_leaf: unknown replacement 'lp_leaf'; known: target_show, target_sum",
    ),
}


def scenario_file(folder: Path, text: str) -> Path:
    (folder / "mine.c").touch()
    path = folder / "my.toml"
    path.write_text(f'name = "mine"\ncpus = 1\ncalls = 100\n{text}\n', encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_name_is_told_with_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    path = scenario_file(tmp_path, text)

    with pytest.raises(EmuError) as refused:
        run_scenario(load_scenario(str(path)), out=tmp_path / "out")

    assert str(refused.value).startswith(f"{path}: {expected.replace('FOLDER', str(tmp_path))}")
    assert not (tmp_path / "out").exists()


def test_names_that_exist_are_no_mistake(tmp_path: Path) -> None:
    steps = "".join(
        f"[[steps]]\nafter_calls = {20 * at}\n{step}\n"
        for at, step in enumerate(
            [
                'load = "mine"',
                'trace = "target_sum"',
                'enable = "p"',
                'disable = "p"',
                'untrace = "target_sum"',
            ]
        )
    )
    objects = '[patches.p.objects.mine]\ntarget_sum = "lp_target_sum"\n'

    assert run_scenario(load_scenario(str(scenario_file(tmp_path, f"{steps}{MINE}{LEAF}{objects}")))).ok


@pytest.mark.parametrize("module", ["mine", "target"])
def test_a_module_may_be_loaded_unloaded_and_loaded_again(tmp_path: Path, module: str) -> None:
    deeds = ["load", "unload", "load", "unload"]
    steps = "".join(f'[[steps]]\nafter_calls = {20 * at}\n{do} = "{module}"\n' for at, do in enumerate(deeds))

    outcome = run_scenario(load_scenario(str(scenario_file(tmp_path, f"{steps}{MINE}"))))

    assert outcome.ok
    assert [step.answer for step in outcome.steps] == ["ok"] * 4


def test_loading_it_twice_is_refused_when_it_runs(tmp_path: Path) -> None:
    outcome = run_scenario(load_scenario(str(scenario_file(tmp_path, LOAD + LOAD))))

    assert [step.answer for step in outcome.steps] == ["ok", "-EEXIST"]


def test_a_function_of_a_module_that_was_unloaded_is_unknown(tmp_path: Path) -> None:
    steps = f'{LOAD}[[steps]]\nunload = "target"\n[[steps]]\ntrace = "target_sum"'
    path = scenario_file(tmp_path, steps)

    with pytest.raises(ScenarioError, match=r"steps\[2\]\.trace: unknown function 'target_sum'; known: "):
        run_scenario(load_scenario(str(path)))


def test_a_patch_may_call_functions_of_a_module_that_comes_after_it(tmp_path: Path) -> None:
    steps = '[[steps]]\nenable = "p"\n[[steps]]\nafter_calls = 20\nload = "late"\n'
    patch = '[patches.p]\nobjects = {late = {late_init = "lp_late_init"}}\n'  # which calls late_ping

    outcome = run_scenario(load_scenario(str(scenario_file(tmp_path, steps + patch))))

    assert outcome.ok
    assert [
        row["patch"]
        for row in outcome.run.calls
        if row["target"] == outcome.run.symbols["p:lp_late_init"].address
    ]
    assert "late: init: ping says ping:orig" in outcome.run.log


def test_a_file_for_one_port_alone_is_looked_for_when_that_port_runs(tmp_path: Path) -> None:
    (tmp_path / "mine-arm64.o").write_bytes(b"")
    path = scenario_file(tmp_path, '[modules.mine]\nobject = "mine-{arch}.o"\n[[steps]]\nload = "mine"')

    expected = (
        rf"^{path}: modules\.mine: {tmp_path}/mine-x86_64\.o: can't be read: No such file or directory; "
    )
    with pytest.raises(ScenarioError, match=expected):
        run_scenario(load_scenario(str(path)))


def test_a_scenario_made_in_python_has_keys_too() -> None:
    scenario = Scenario(name="mine", steps=(Step(after_calls=1, action="enable", subject="nosuch"),))

    with pytest.raises(ScenarioError, match=re.escape("scenario: steps[0].enable: unknown patch 'nosuch'; ")):
        run_scenario(scenario)
