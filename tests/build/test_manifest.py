"""Manifests: what they may say, what they inherit, and the key that is named when they say something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.build.code_source import AssemblyFolder, ObjectFile, SourceFile
from emu.build.manifest import ManifestError, image_names, load_manifest, parse_manifest
from emu.build.toolchain import EntryScheme
from emu.errors import UnknownNameError

WRONG = {
    "no TOML": ("x = ", r"TOML: Invalid value .*"),
    "no name": ("", r"name: must be a string"),
    "unknown key": ('name = "x"\nmodule = 1', r"module: unknown key; known: base, calls, description, .*"),
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
    "no objects": ('name = "x"\n[patches.p]\nsource = "x.c"', r"patches\.p: needs objects\.<object>\..*"),
    "object": (
        'name = "x"\n[patches.p]\nobjects = { m = 1 }',
        r"patches\.p\.objects\.m: must map functions to replacements",
    ),
    "replacement": (
        'name = "x"\n[patches.p.objects.m]\nf = 1',
        r"patches\.p\.objects\.m\.f: must name the replacement, not 1",
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
    with pytest.raises(UnknownNameError, match=r"^unknown image 'nosuch'; known: cmini, mini$"):
        parse_manifest('name = "x"\nbase = "nosuch"', origin="m.toml")


def test_shipped_images_can_be_read_and_their_sources_are_there() -> None:
    for name in image_names():
        manifest = load_manifest(name)
        codes = [module.code for module in manifest.modules.values()]
        codes += [patch.code for patch in manifest.patches.values() if patch.code is not None]
        assert all(code.path.is_file() for code in codes if isinstance(code, SourceFile))
