"""Manifests: what they may say, what they inherit, and the key that is named when they say something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emu.arch import PORTS
from emu.build.assembly_files import read_units
from emu.build.code_source import AssemblyFolder, ObjectFile, SourceFile
from emu.build.contents import CALLBACKS, CallbackSource, StateSource, function_position
from emu.build.image import build_kernel
from emu.build.manifest import ManifestError, image_names, load_manifest, parse_manifest
from emu.build.toolchain import EntryScheme
from emu.errors import UnknownNameError

WRONG = {
    "no TOML": ("x = ", r"TOML: Invalid value .*"),
    "no name": ("", r"name: must be a string"),
    "unknown key": ('name = "x"\nmodule = 1', r"module: unknown key; known: base, calls, description, .*"),
    "sources": ('name = "x"\nsources = 1', r"sources: must be a table of file = file that takes its place"),
    "source": ('name = "x"\nsources = { "a.s" = 1 }', r"sources: must be a table of file = file .*"),
    "own base": ('name = "x"\nbase = "x"', r"base: must name another image"),
    "base": ('name = "x"\nbase = 1', r"base: must name another image"),
    "variable": ('name = "x"\nvariables = { v = 0 }', r"variables\.v: must be 1 to 0x4000 bytes, not 0"),
    "modules": ('name = "x"\nmodules = 1', r"modules: must be tables \(\[modules\.NAME\]\)"),
    "module": ('name = "x"\nmodules = { m = 1 }', r"modules\.m: must be a table \(\[modules\.m\]\)"),
    "module key": ('name = "x"\n[modules.m]\nsrc = "x.c"', r"modules\.m\.src: unknown key; known: calls, .*"),
    "the kernel": (
        'name = "x"\n[modules.vmlinux]',
        r"modules\.vmlinux: is the name of the kernel itself; .*",
    ),
    "control characters": ('name = "x"\n[modules."a\\nb"]', r"modules\.'a\\nb': must have a printable name"),
    "two codes": (
        'name = "x"\n[modules.m]\nobject = "x.o"\nsource = "x.c"',
        r"modules\.m: has both object and source; give one",
    ),
    "path": ('name = "x"\n[modules.m]\nobject = ""', r"modules\.m\.object: must be a path, not ''"),
    "path kind": ('name = "x"\n[patches.p]\nsource = 3\nobjects = {}', r"patches\.p: needs objects\..*"),
    "source kind": ('name = "x"\n[modules.m]\nsource = 3', r"modules\.m\.source: must be a path, not 3"),
    "entry of an object": (
        'name = "x"\n[modules.m]\nobject = "x.o"\nentry = "fentry"',
        r"modules\.m\.entry: is for a source alone",
    ),
    "entry": (
        'name = "x"\n[modules.m]\nsource = "x.c"\nentry = "fast"',
        r"modules\.m\.entry: must be one of none, patchable, call-ops, fentry, mcount, not 'fast'",
    ),
    "entry kind": (
        'name = "x"\n[modules.m]\nsource = "x.c"\nentry = []',
        r"modules\.m\.entry: must be one of .*",
    ),
    "defines": (
        'name = "x"\n[modules.m]\nsource = "x.c"\ndefines = { A = true }',
        r"modules\.m\.defines: must be a table of macro = number or text",
    ),
    "macro": (
        'name = "x"\n[modules.m]\nsource = "x.c"\ndefines = { "A-B" = 1 }',
        r"modules\.m\.defines\.A-B: must be the name of a macro",
    ),
    "calls": ('name = "x"\n[modules.m]\ncalls = 1', r"modules\.m\.calls: must be an array of tables"),
    "call": (
        'name = "x"\n[[modules.m.calls]]\nfn = "f"',
        r"modules\.m\.calls\[0\]: needs exactly fn, args and .*",
    ),
    "function": (
        'name = "x"\n[[calls]]\nfn = 1\nargs = []\nexpected = 0',
        r"calls\[0\]\.fn: must name a function, not 1",
    ),
    "argument": (
        'name = "x"\n[[calls]]\nfn = "f"\nargs = [-1]\nexpected = 0',
        r"calls\[0\]\.args: must hold u64 or \"buffer\".*",
    ),
    "arguments": (
        f'name = "x"\n[[calls]]\nfn = "f"\nargs = {[1] * 11}\nexpected = 0',
        r"calls\[0\]\.args: must be .* ten",
    ),
    "result": (
        'name = "x"\n[[calls]]\nfn = "f"\nargs = []\nexpected = 4294967296',
        r"calls\[0\]\.expected: must be a u32.*",
    ),
    "rounds": (
        'name = "x"\n[[calls]]\nfn = "f"\nargs = []\nexpected = 0\nevery = 65',
        r"calls\[0\]\.every: must be 1 to 64, not 65",
    ),
    "no objects": ('name = "x"\n[patches.p]\nsource = "x.c"', r"patches\.p: needs objects\.<object>\..*"),
    "object": (
        'name = "x"\n[patches.p]\nobjects = { m = 1 }',
        r"patches\.p\.objects\.m: must map functions to replacements; .* unchecked = true",
    ),
    "replacement": (
        'name = "x"\n[patches.p.objects.m]\nf = 1',
        r"patches\.p\.objects\.m\.f: must name the replacement, not 1",
    ),
    "a module's variable": (
        'name = "x"\n[modules.m]\nvariables = { v = -1 }',
        r"modules\.m\.variables\.v: must be 1 to 0x4000 bytes, not -1",
    ),
    "variables of an object": (
        'name = "x"\n[modules.m]\nobject = "x.o"\nvariables = { v = 8 }',
        r"modules\.m\.variables: are for a folder alone",
    ),
    "position": (
        'name = "x"\n[patches.p.objects.m]\n"f,0" = "lp_f"',
        r"patches\.p\.objects\.m\.f,0: must be a function, or \"function,position\" from 1",
    ),
    "callbacks": (
        'name = "x"\n[patches.p.objects.m]\ncallbacks = ["patch"]',
        r"patches\.p\.objects\.m\.callbacks: must be an array of pre_patch, .*, not \['patch'\]",
    ),
    "kind of callback": (
        'name = "x"\n[patches.p.objects.m]\ncallbacks = [[]]',
        r"patches\.p\.objects\.m\.callbacks: must be an array of pre_patch, .*, not \[\[\]\]",
    ),
    "what pre_patch returns": (
        'name = "x"\n[patches.p.objects.m]\ncallbacks = ["pre_patch"]\npre_patch_returns = 1',
        r"patches\.p\.objects\.m\.pre_patch_returns: must be 0 or a negative errno, not 1",
    ),
    "what no pre_patch returns": (
        'name = "x"\n[patches.p.objects.m]\ncallbacks = ["post_patch"]\npre_patch_returns = -19',
        r"patches\.p\.objects\.m\.pre_patch_returns: needs pre_patch among the callbacks",
    ),
    "replace": (
        'name = "x"\n[patches.p]\nreplace = 1\nobjects.m.f = "lp_f"',
        r"patches\.p\.replace: must be true or false, not 1",
    ),
    "states": (
        'name = "x"\n[patches.p]\nstates = 1\nobjects.m.f = "lp_f"',
        r"patches\.p\.states: must be an array of { id = \.\.\., version = \.\.\. }",
    ),
    "state": (
        'name = "x"\n[patches.p]\nstates = [{ id = 1 }]\nobjects.m.f = "lp_f"',
        r"patches\.p\.states\[0\]: needs exactly id and version",
    ),
    "version of a state": (
        'name = "x"\n[patches.p]\nstates = [{ id = 1, version = 4294967296 }]\nobjects.m.f = "lp_f"',
        r"patches\.p\.states\[0\]\.version: must be a u32, not 4294967296",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_is_told_with_its_key(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=rf"^m\.toml: {message}$") as told:
        parse_manifest(text, origin="m.toml")

    assert str(told.value).isprintable() or told.value.key == "TOML"


def test_paths_are_relative_to_the_folder() -> None:
    text = """
        name = "x"
        [modules.a]
        [modules.b]
        folder = "module_target"
        [modules.c]
        object = "c-{arch}.o"
        [modules.d]
        source = "sub/d.c"
        entry = "mcount"
        defines = { A = 1, B = "two" }
        [patches.p]
        source = "/p.c"
        [patches.p.objects.vmlinux]
        f = "lp_f"
        [patches.q.objects.vmlinux]
        f = "lp_f"
    """

    manifest = parse_manifest(text, origin="m.toml", folder=Path("there"))

    assert {name: module.code for name, module in manifest.modules.items()} == {
        "a": AssemblyFolder(folder="a"),
        "b": AssemblyFolder(folder="module_target"),
        "c": ObjectFile(path=Path("there/c-{arch}.o")),
        "d": SourceFile(path=Path("there/sub/d.c"), entry=EntryScheme.MCOUNT, defines={"A": 1, "B": "two"}),
    }
    assert manifest.patches["p"].code == SourceFile(path=Path("/p.c"))
    assert manifest.patches["q"].code is None


def test_a_manifest_has_everything_of_its_base_and_its_own_on_top() -> None:
    mini = load_manifest("mini")
    text = """
        name = "x"
        base = "mini"
        [variables]
        more = 8
        [[calls]]
        fn = "mini_leaf"
        args = [1]
        expected = 2
        [modules.target]
        object = "other.o"
    """

    manifest = parse_manifest(text, origin="m.toml")

    assert manifest.name == "x"
    assert manifest.variables == mini.variables | {"more": 8}
    assert manifest.calls[:-1] == mini.calls
    assert manifest.patches == mini.patches
    assert isinstance(manifest.modules["target"].code, ObjectFile)


def test_an_unknown_base_is_told_with_those_there_are() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^unknown image 'nosuch'; known: cmini, mini, reference, traced-helper$"
    ):
        parse_manifest('name = "x"\nbase = "nosuch"', origin="m.toml")


def test_shipped_images_can_be_read_and_their_sources_are_there() -> None:
    for name in image_names():
        manifest = load_manifest(name)
        codes = [module.code for module in manifest.modules.values()]
        codes += [patch.code for patch in manifest.patches.values() if patch.code is not None]
        assert all(code.path.is_file() for code in codes if isinstance(code, SourceFile))


def test_a_patch_may_have_all_that_its_author_can_declare() -> None:
    text = """
        name = "x"
        [patches.p]
        replace = true
        states = [{ id = 1, version = 2 }, { id = 7, version = 0 }]
        [patches.p.objects.vmlinux]
        callbacks = ["post_patch", "pre_patch"]
        pre_patch_returns = -19
        [patches.p.objects.m]
        "f,2" = "lp_f"
        "f,1" = "lp_g"
        h = "lp_f"
    """

    patch = parse_manifest(text, origin="m.toml").patches["p"]

    assert patch.replace
    assert patch.states == (StateSource(id=1, version=2), StateSource(id=7, version=0))
    assert patch.callbacks == {
        "vmlinux": CallbackSource(names=("post_patch", "pre_patch"), pre_patch_returns=-19)
    }
    assert patch.objects == {"vmlinux": {}, "m": {"f,2": "lp_f", "f,1": "lp_g", "h": "lp_f"}}
    assert [function_position(name) for name in patch.objects["m"]] == [("f", 2), ("f", 1), ("h", 0)]


def test_the_reference_image_declares_what_the_observations_need() -> None:
    """Source: the table of modules in the observations' README."""
    reference = load_manifest("reference")
    patches = reference.patches

    assert {"viccore", "victim", "late"} <= reference.modules.keys() == load_manifest("mini").modules.keys()
    assert sum(name.startswith("lp_") for name in patches) == 36
    assert [name for name, patch in patches.items() if patch.replace] == ["lp_ra1", "lp_rb1"]
    assert {name: patch.states for name, patch in patches.items() if patch.states} == {
        "lp_s1v1": (StateSource(id=1, version=1),),
        "lp_s1v1b": (StateSource(id=1, version=1),),
        "lp_s1v2": (StateSource(id=1, version=2),),
    }
    told = {source.names for patch in patches.values() for source in patch.callbacks.values()}
    assert told == {CALLBACKS}
    refusing = {
        name: key
        for name, patch in patches.items()
        for key, source in patch.callbacks.items()
        if source.pre_patch_returns
    }
    assert refusing == {"lp_cbfail": "vmlinux", "lp_cbfail2": "vmlinux"}
    assert list(patches["lp_cbfail2"].objects) == ["victim", "vmlinux"]
    assert list(patches["lp_oa1"].objects["victim"]) == ["vic_outer", "vic_alpha"]


class TestSources:
    """Files of the assembly that others take the place of."""

    def test_a_file_of_the_kernel_or_a_module_is_exchanged(self) -> None:
        port = PORTS["arm64"]
        kernel = {"klp_copy_process.s": "defect/klp_copy_process.s"}
        images = [build_kernel(port, replace(load_manifest("mini"), sources=given)) for given in ({}, kernel)]
        sizes = [image.symbols["klp_copy_process"].size for image in images]
        assert sizes[0] > sizes[1] > 0

        module = {"module_poller/poll_ring.s": "defect/poll_ring.s"}
        (unit,) = read_units(port, "module_poller", exchanged=module)
        assert (unit.name, unit.origin) == ("poll_ring", "asm/arm64/defect/poll_ring.s")

    def test_an_image_has_those_of_its_base_too(self) -> None:
        text = 'name = "x"\nbase = "traced-helper"\n[sources]\n"a.s" = "b.s"'
        expected = {"klp_ftrace_handler.s": "variant/klp_ftrace_handler.s", "a.s": "b.s"}
        assert parse_manifest(text, origin="x.toml").sources == expected

    @pytest.mark.parametrize("sources", [{"nosuch.s": "worker.s"}, {"worker.s": "nosuch.s"}])
    def test_a_file_that_does_not_exist_is_told(self, sources: dict[str, str]) -> None:
        with pytest.raises(UnknownNameError, match=r"^unknown assembly file 'nosuch\.s'; "):
            build_kernel(PORTS["x86_64"], replace(load_manifest("mini"), sources=sources))
