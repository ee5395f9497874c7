"""/sys/kernel/livepatch: what is there, what it says, what it takes; the answers of sysfs_writes."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.kernel.errno import EACCES, EINVAL, EISDIR, ENOENT, ENOTDIR
from emu.kernel.guest import View
from emu.livepatch import LINUX_6_17, Flavour, Func, Object, Patch, Sysfs
from emu.structs import KLP_PATCH
from tests.synthetic import Kernel, new_log

COMMAND_LINE = Patch("lp_cmd1", (Object(None, (Func("cmdline_proc_show", "lp_1"),)),))


class Setup:
    """A kernel with its tree, and whether writing to ``force`` reached the core."""

    def __init__(self, flavour: Flavour | None = None) -> None:
        self.kernel = Kernel(PORTS["x86_64"])
        self.forced: list[tuple[int, bool]] = []
        livepatch = self.kernel.livepatch
        options = {} if flavour is None else {"flavour": flavour}
        self.sysfs = Sysfs(self.kernel.guest, self, livepatch.transition, **options)

    def patches(self) -> list[View]:
        return self.kernel.livepatch.core.patches()

    def enabled_store(self, patch: View, *, enabled: bool) -> int:
        return self.kernel.livepatch.core.enabled_store(patch, enabled=enabled)

    def force_store(self, patch: View, *, force: bool) -> int:
        self.forced.append((patch.address, force))
        under_way = self.kernel.livepatch.transition.patch
        return -EINVAL if force and (under_way is None or under_way.address != patch.address) else 0

    def enable(self, patch: Patch) -> int:
        handle = self.kernel.livepatch.enable(patch)
        assert handle > 0
        return handle


@pytest.fixture
def setup() -> Setup:
    return Setup()


class TestSysfsWrites:
    """The steps of sysfs_writes, in order."""

    @pytest.fixture
    def enabled(self, setup: Setup) -> Setup:
        setup.enable(COMMAND_LINE)
        new_log(setup.kernel)
        return setup

    @pytest.mark.parametrize(
        ("text", "returned"),
        [("1", -EINVAL), ("2", -EINVAL), ("x", -EINVAL), ("", 0), ("y", -EINVAL), ("on", -EINVAL)],
    )
    def test_what_changes_nothing(self, enabled: Setup, text: str, returned: int) -> None:
        assert enabled.sysfs.write("lp_cmd1/enabled", text) == returned
        assert enabled.sysfs.read("lp_cmd1/enabled") == "1\n"
        assert new_log(enabled.kernel) == []

    def test_read_only_files(self, enabled: Setup) -> None:
        for name in ("transition", "vmlinux/patched"):
            assert enabled.sysfs.write(f"lp_cmd1/{name}", "1") == -EACCES
            assert enabled.sysfs.write(f"lp_cmd1/{name}", "") == -EACCES

    def test_force_without_a_transition(self, enabled: Setup) -> None:
        assert enabled.sysfs.write("lp_cmd1/force", "1") == -EINVAL
        assert enabled.sysfs.write("lp_cmd1/force", "0") == 1
        assert enabled.sysfs.write("lp_cmd1/force", "maybe") == -EINVAL
        assert [forced for _, forced in enabled.forced] == [True, False]
        assert enabled.sysfs.read("lp_cmd1/force") == -EACCES

    def test_modes(self, enabled: Setup) -> None:
        assert enabled.sysfs.modes("lp_cmd1") == {
            "enabled": 0o644, "force": 0o200, "transition": 0o444, "vmlinux/patched": 0o444,
        }  # fmt: skip

    def test_off_disables_and_the_directory_goes(self, enabled: Setup) -> None:
        assert enabled.sysfs.write("lp_cmd1/enabled", "off\n") == 4
        assert new_log(enabled.kernel) == [
            "livepatch: 'lp_cmd1': starting unpatching transition",
            "livepatch: 'lp_cmd1': unpatching complete",
        ]
        assert enabled.sysfs.listdir() == []
        assert enabled.sysfs.write("lp_cmd1/enabled", "1") == -ENOENT


class TestTree:
    """Directories are patches, objects, and functions with their position."""

    PATCH = Patch(
        "lp_mixed",
        (
            Object(None, (Func("cmdline_proc_show", "lp_1"),)),
            Object("victim", (Func("vic_alpha", "lp_1"), Func("vic_dup", "lp_1", sympos=2))),
            Object("late", (Func("late_ping", "lp_1"),)),
        ),
    )

    def test_two_objects_one_missing(self, setup: Setup) -> None:
        setup.enable(self.PATCH)
        sysfs = setup.sysfs
        assert sysfs.listdir("lp_mixed") == ["enabled", "force", "late", "transition", "victim", "vmlinux"]
        assert sysfs.listdir("lp_mixed/victim") == ["patched", "vic_alpha,1", "vic_dup,2"]
        assert sysfs.listdir("lp_mixed/victim/vic_dup,2") == []
        assert [sysfs.read(f"lp_mixed/{name}/patched") for name in ("vmlinux", "victim", "late")] == [
            "1\n", "1\n", "0\n",
        ]  # fmt: skip

    def test_paths_may_be_absolute(self, setup: Setup) -> None:
        setup.enable(COMMAND_LINE)
        assert setup.sysfs.read("/sys/kernel/livepatch/lp_cmd1/enabled") == "1\n"
        assert setup.sysfs.listdir("/sys/kernel/livepatch/") == ["lp_cmd1"]

    def test_what_is_not_there_or_not_that(self, setup: Setup) -> None:
        setup.enable(COMMAND_LINE)
        sysfs = setup.sysfs
        assert sysfs.read("lp_cmd2/enabled") == -ENOENT
        assert sysfs.write("lp_cmd1/enabeld", "0") == -ENOENT
        assert sysfs.listdir("lp_cmd1/victim") == -ENOENT
        assert sysfs.modes("nosuch") == -ENOENT
        assert sysfs.read("lp_cmd1") == -EISDIR
        assert sysfs.write("lp_cmd1/vmlinux", "0") == -EISDIR
        assert sysfs.listdir("lp_cmd1/enabled") == -ENOTDIR
        assert sysfs.modes("lp_cmd1/enabled") == -ENOTDIR
        assert sysfs.read("lp_cmd1/enabled/x") == -ENOTDIR

    def test_transition_is_1_for_the_patch_under_way_alone(self, setup: Setup) -> None:
        handle = setup.enable(COMMAND_LINE)
        setup.enable(Patch("other", COMMAND_LINE.objects))
        transition = setup.kernel.livepatch.transition
        assert setup.sysfs.read("lp_cmd1/transition") == "0\n"
        transition.patch = View(setup.kernel.guest, KLP_PATCH, handle)
        assert setup.sysfs.read("lp_cmd1/transition") == "1\n"
        assert setup.sysfs.read("other/transition") == "0\n"
        assert setup.sysfs.write("lp_cmd1/force", "1") == 1
        assert setup.sysfs.write("other/force", "1") == -EINVAL


class TestFlavours:
    """linux-6.17 has two more files and takes two more words."""

    def test_replace_and_stack_order(self) -> None:
        setup = Setup(LINUX_6_17)
        setup.enable(COMMAND_LINE)
        setup.enable(Patch("second", COMMAND_LINE.objects))
        sysfs = setup.sysfs
        assert sysfs.modes("second") == {
            "enabled": 0o644, "force": 0o200, "replace": 0o444, "stack_order": 0o444, "transition": 0o444,
            "vmlinux/patched": 0o444,
        }  # fmt: skip
        assert [sysfs.read(f"{name}/stack_order") for name in ("lp_cmd1", "second")] == ["1\n", "2\n"]
        setup.enable(Patch("r", COMMAND_LINE.objects, replace=True))
        assert (sysfs.listdir(), sysfs.read("r/replace"), sysfs.read("r/stack_order")) == (
            ["r"],
            "1\n",
            "1\n",
        )

    @pytest.mark.parametrize(("flavour", "returned"), [(None, -EINVAL), (LINUX_6_17, 7)])
    def test_disable_is_a_word_since_6_16(self, flavour: Flavour | None, returned: int) -> None:
        setup = Setup(flavour)
        setup.enable(COMMAND_LINE)
        assert setup.sysfs.write("lp_cmd1/enabled", "disable") == returned

    def test_6_1_has_neither_file(self, setup: Setup) -> None:
        setup.enable(COMMAND_LINE)
        assert setup.sysfs.read("lp_cmd1/replace") == -ENOENT
        assert setup.sysfs.read("lp_cmd1/stack_order") == -ENOENT
