"""Shadow variables: the counterpart of the case of test-shadow-vars.sh."""

from __future__ import annotations

import pytest

from emu.arch import PORTS
from emu.livepatch import Shadow
from tests.selftests.shell import Shell

SIZE = 8


class Steps:
    """What a module does to shadow variables, step by step.

    Three objects get variables of two kinds, each kind with a value of the object's own.
    """

    def __init__(self, shell: Shell, shadow: Shadow) -> None:
        self.guest, self.shadow = shell.machine.kernel.guest, shadow
        self.constructed: list[int] = []
        self.destroyed: list[tuple[int, int]] = []

    def construct(self, value: int) -> object:
        def ctor(_obj: int, data: int) -> int:
            self.constructed.append(value)
            self.guest.store(data, value, SIZE)
            return 0

        return ctor

    def destroy(self, obj: int, data: int) -> None:
        self.destroyed.append((obj, self.guest.load(data, SIZE)))

    def value(self, obj: int, kind: int) -> int | None:
        data = self.shadow.klp_shadow_get(obj, kind)
        return self.guest.load(data, SIZE) if data else None

    def run(self) -> int:
        objects = [self.guest.alloc(SIZE, f"object {number}") for number in range(3)]
        shadow, values = self.shadow, {obj: 100 + at for at, obj in enumerate(objects)}

        assert self.value(objects[0], 0x1234) is None
        for obj, value in values.items():
            make = shadow.klp_shadow_alloc if value % 2 else shadow.klp_shadow_get_or_alloc
            assert make(obj, 0x1234, SIZE, self.construct(value))  # type: ignore[arg-type]
            assert shadow.klp_shadow_alloc(obj, 0x1235, SIZE, self.construct(value + 50))  # type: ignore[arg-type]
        assert self.constructed == [100, 150, 101, 151, 102, 152]
        assert [self.value(obj, 0x1234) for obj in objects] == [100, 101, 102]
        assert [self.value(obj, 0x1235) for obj in objects] == [150, 151, 152]

        for obj in objects:  # what is there is found, not made again
            found = shadow.klp_shadow_get_or_alloc(obj, 0x1234, SIZE, self.construct(7))  # type: ignore[arg-type]
            assert found == shadow.klp_shadow_get(obj, 0x1234)
        assert len(self.constructed) == 6

        for obj in objects:
            shadow.klp_shadow_free(obj, 0x1234, self.destroy)
            assert self.value(obj, 0x1234) is None
        assert self.destroyed == list(values.items())
        assert [self.value(obj, 0x1235) for obj in objects] == [150, 151, 152]

        shadow.klp_shadow_free_all(0x1235)
        assert [self.value(obj, 0x1235) for obj in objects] == [None] * 3
        assert len(self.destroyed) == 3
        return 0


@pytest.mark.parametrize("arch", sorted(PORTS))
def test_basic_shadow_variable_api(arch: str) -> None:
    shell = Shell(arch)
    steps = Steps(shell, shell.machine.livepatch.core.shadow)

    ret = shell.machine.wait(shell.machine.kernel.installer.submit("shadow variables", steps.run))

    assert ret == 0
    assert shell.transcript() == []
