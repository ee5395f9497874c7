"""Shadow variables: what an object has attached, by address and id, in guest memory."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.arch import PORTS
from emu.kernel.errno import EINVAL, ENOMEM
from emu.lab.helper_modules.shadow_user import shadow_user
from emu.livepatch import Shadow
from emu.livepatch.shadow import HASH_BITS
from emu.machine.operations import OpKind
from emu.structs import KLP_SHADOW
from tests.synthetic import Kernel, new_log

REFERENCE = """\
shadow_user: get(obj0, 1) = NULL
shadow_user: alloc(obj0, 1, value 10)
shadow_user:   ctor obj0 value 10
shadow_user:   = 10
shadow_user: get(obj0, 1) = 10
shadow_user: alloc(obj1, 1, value 11)
shadow_user:   ctor obj1 value 11
shadow_user:   = 11
shadow_user: alloc(obj0, 2, value 20)
shadow_user:   ctor obj0 value 20
shadow_user:   = 20
shadow_user: get(obj1, 1) = 11
shadow_user: get(obj0, 2) = 20
shadow_user: get(obj2, 1) = NULL
shadow_user: -- alloc of one that exists
shadow_user: alloc(obj0, 1, value 99)
------------[ cut here ]------------
Duplicate shadow variable <000000007d261b01, 1>
WARNING: CPU: 1 PID: 95 at kernel/livepatch/shadow.c:165 __klp_shadow_get_or_alloc+0x1e5/0x250
---[ end trace 0000000000000000 ]---
shadow_user:   = NULL
shadow_user: get(obj0, 1) = 10
shadow_user: -- get_or_alloc of one that exists, then of a new one
shadow_user: get_or_alloc(obj0, 1, value 98)
shadow_user:   = 10
shadow_user:   same pointer: yes
shadow_user: get_or_alloc(obj2, 1, value 12)
shadow_user:   ctor obj2 value 12
shadow_user:   = 12
shadow_user: -- constructor that fails
shadow_user: alloc(obj3, 1, value 13)
livepatch: Failed to construct shadow variable <000000009c62cced, 1> (-22)
shadow_user:   = NULL
shadow_user: get_or_alloc(obj3, 1, value 13)
livepatch: Failed to construct shadow variable <000000009c62cced, 1> (-22)
shadow_user:   = NULL
shadow_user: get(obj3, 1) = NULL
shadow_user: -- no constructor: is the data zero
shadow_user: alloc(obj3, 7, no ctor) = 0
shadow_user: -- free one, with a destructor
shadow_user:   dtor obj0 value 10
shadow_user: get(obj0, 1) = NULL
shadow_user: get(obj1, 1) = 11
shadow_user: get(obj0, 2) = 20
shadow_user: -- free one that is not there
shadow_user: -- free_all of id 1, with a destructor
shadow_user:   dtor obj1 value 11
shadow_user:   dtor obj2 value 12
shadow_user: get(obj1, 1) = NULL
shadow_user: get(obj2, 1) = NULL
shadow_user: get(obj0, 2) = 20
shadow_user: -- free_all of id 2 and 7, no destructor
shadow_user: get(obj0, 2) = NULL
shadow_user: -- alloc again after free
shadow_user: alloc(obj0, 1, value 30)
shadow_user:   ctor obj0 value 30
shadow_user:   = 30
shadow_user:   dtor obj0 value 30
shadow_user: ctor calls 7, dtor calls 4
"""
"""Of shadow_variables, but for the line that stands for registers and stack."""
OBJECT = 0x4000_0100


@pytest.fixture(params=sorted(PORTS))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(PORTS[request.param])


@pytest.fixture
def shadow(kernel: Kernel) -> Shadow:
    return Shadow(kernel.guest, kernel.rcu, kernel.livepatch.log)


def alive(kernel: Kernel) -> int:
    """Return how many klp_shadow structs are on the heap."""
    return [what for _, what in kernel.heap.live.values()].count("klp_shadow")


def without_addresses(line: str) -> str:
    """Return a line as it is on every machine: where on which CPU a WARN was, and addresses, are not."""
    line = re.sub(r"^WARNING: CPU: \d+ PID: \d+ at (\S+ \w+)\+0x\S+$", r"WARNING: at \1", line)
    return re.sub(r"<[0-9a-f]{16}, ", "<ADDRESS, ", line)


def test_the_reference_module_says_what_it_said_to_linux(kernel: Kernel, shadow: Shadow) -> None:
    new_log(kernel)
    assert shadow_user(shadow, kernel.guest) == 0
    expected = [without_addresses(line) for line in REFERENCE.splitlines()]
    assert [without_addresses(line) for line in new_log(kernel)] == expected
    assert [mark for mark, _ in kernel.player.marks] == ["WARN"]
    kernel.rcu.barrier("test")
    assert alive(kernel) == 0


class TestMessages:
    """Addresses are printed in the width of %p."""

    def test_a_duplicate_names_object_and_id(self, kernel: Kernel, shadow: Shadow) -> None:
        assert shadow.klp_shadow_alloc(OBJECT, 0xAB, 8)
        assert shadow.klp_shadow_alloc(OBJECT, 0xAB, 8) == 0
        assert "Duplicate shadow variable <0000000040000100, ab>" in new_log(kernel)

    def test_a_failed_constructor_names_its_error(self, kernel: Kernel, shadow: Shadow) -> None:
        assert shadow.klp_shadow_get_or_alloc(OBJECT, 1, 8, lambda _obj, _data: -EINVAL) == 0
        assert new_log(kernel)[-1] == (
            "livepatch: Failed to construct shadow variable <0000000040000100, 1> (-22)"
        )


class TestMemory:
    """Data are zero until the constructor, seen whole, and freed after a grace period."""

    def test_a_constructor_sees_zeroes_before_anybody_else_sees_the_data(
        self, kernel: Kernel, shadow: Shadow
    ) -> None:
        seen: list[tuple[int, int, int]] = []

        def ctor(obj: int, data: int) -> int:
            seen.append((obj, kernel.guest.load(data), shadow.klp_shadow_get(OBJECT, 1)))
            kernel.guest.store(data, 5)
            return 0

        data = shadow.klp_shadow_alloc(OBJECT, 1, 8, ctor)
        assert seen == [(OBJECT, 0, 0)]
        assert kernel.guest.load(data) == 5
        assert shadow.klp_shadow_get(OBJECT, 1) == data

    def test_the_node_is_complete_before_the_bucket_points_to_it(
        self, kernel: Kernel, shadow: Shadow
    ) -> None:
        kernel.player.operations.clear()
        shadow.klp_shadow_alloc(OBJECT, 1, 8)
        names = kernel.player.names(OpKind.STORE, OpKind.BARRIER)
        published = names.index("hlist_add_head_rcu head->first")
        assert names[published - 1] == "rcu_assign_pointer"
        assert {"klp_shadow->obj", "klp_shadow->id", "hlist_add_head_rcu node->next"} <= set(
            names[:published]
        )

    def test_freed_after_the_next_grace_period_and_readable_until_then(
        self, kernel: Kernel, shadow: Shadow
    ) -> None:
        data = shadow.klp_shadow_alloc(OBJECT, 1, 8)
        kernel.guest.store(data, 7)
        told: list[int] = []
        shadow.klp_shadow_free(OBJECT, 1, lambda _obj, at: told.append(kernel.guest.load(at)))
        assert shadow.klp_shadow_get(OBJECT, 1) == 0
        assert told == [7]
        assert (alive(kernel), kernel.guest.load(data)) == (1, 7)
        kernel.rcu.synchronize("test")
        assert alive(kernel) == 0

    def test_a_reader_on_a_freed_one_still_finds_the_rest_of_its_bucket(
        self, kernel: Kernel, shadow: Shadow
    ) -> None:
        first = shadow.klp_shadow_alloc(OBJECT, 1, 8)
        second = shadow.klp_shadow_alloc(OBJECT, 2, 8) - KLP_SHADOW.size
        shadow.klp_shadow_free(OBJECT, 2)
        assert kernel.guest.load(second + KLP_SHADOW.offset("node.next")) == first - KLP_SHADOW.size
        assert kernel.guest.load(second + KLP_SHADOW.offset("node.pprev")) == 0

    def test_no_memory_is_no_variable_and_no_message(self, kernel: Kernel, shadow: Shadow) -> None:
        new_log(kernel)
        kernel.fail.arm("alloc", 1, ENOMEM)
        assert shadow.klp_shadow_alloc(OBJECT, 1, 8) == 0
        assert new_log(kernel) == []
        assert shadow.klp_shadow_get(OBJECT, 1) == 0

    def test_a_failed_constructor_leaves_nothing(self, kernel: Kernel, shadow: Shadow) -> None:
        assert shadow.klp_shadow_alloc(OBJECT, 1, 8, lambda _obj, _data: -ENOMEM) == 0
        assert alive(kernel) == 0
        assert shadow.klp_shadow_alloc(OBJECT, 1, 8) != 0


OBJECTS = [OBJECT, OBJECT + 0x10, OBJECT + (0x10 << HASH_BITS), OBJECT + 8, 0xFFFF_8880_0000_0000]
"""The first, third and fourth share a bucket."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["alloc", "get_or_alloc", "free", "free_all"]),
        st.sampled_from(OBJECTS),
        st.sampled_from([1, 2]),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_agrees_with_a_dictionary(steps: list[tuple[str, int, int]]) -> None:
    kernel = Kernel(PORTS["x86_64"])
    shadow, model, value = (
        Shadow(kernel.guest, kernel.rcu, kernel.livepatch.log),
        dict[tuple[int, int], int](),
        0,
    )
    destroyed: list[int] = []

    def ctor(_obj: int, data: int) -> int:
        kernel.guest.store(data, value)
        return 0

    for value, (what, obj, shadow_id) in enumerate(steps, 1):
        gone = [key for key in model if key[1] == shadow_id and (what == "free_all" or key[0] == obj)]
        key = obj, shadow_id
        if what == "alloc":
            assert bool(shadow.klp_shadow_alloc(obj, shadow_id, 8, ctor)) == (key not in model)
            model.setdefault(key, value)
        elif what == "get_or_alloc":
            model.setdefault(key, value)
            assert kernel.guest.load(shadow.klp_shadow_get_or_alloc(obj, shadow_id, 8, ctor)) == model[key]
        else:
            destroyed.clear()
            if what == "free":
                shadow.klp_shadow_free(obj, shadow_id, lambda o, _data: destroyed.append(o))
            else:
                shadow.klp_shadow_free_all(shadow_id, lambda o, _data: destroyed.append(o))
            assert sorted(destroyed) == sorted(o for o, _ in gone)
            for old in gone:
                del model[old]
        for candidate in ((o, i) for o in OBJECTS for i in (1, 2)):
            data = shadow.klp_shadow_get(*candidate)
            assert (kernel.guest.load(data) if data else None) == model.get(candidate)
