"""What the helper module ``shadow_user`` does when it is loaded, as work of the patching CPU."""

from __future__ import annotations

from emu.kernel.errno import EINVAL, ENOMEM
from emu.kernel.guest import Guest
from emu.livepatch import Constructor, Shadow

_VALUE_SIZE = 4  # bytes
_OBJECT_SIZE = 16  # bytes
_REFUSED_VALUE = 13
"""The constructor fails on it."""


def shadow_user(shadow: Shadow, guest: Guest) -> int:
    """Load the module ``shadow_user``: call the shadow variable functions one after another; 0 or -ENOMEM.

    Each call and what it gives is a line of the log.

    Source: our own helper module, and the reference ``shadow_variables``.
    """
    base = guest.alloc(4 * _OBJECT_SIZE, "shadow_user objects")
    if not base:
        return -ENOMEM
    _ShadowUser(shadow, guest, base).run()
    guest.free(base, "shadow_user objects")
    return 0


class _ShadowUser:
    def __init__(self, shadow: Shadow, guest: Guest, base: int) -> None:
        self._shadow, self._guest, self._base = shadow, guest, base
        self._ctor_calls = self._dtor_calls = 0

    def run(self) -> None:
        shadow = self._shadow
        obj0, obj1, obj2, obj3 = (self._base + _OBJECT_SIZE * i for i in range(4))
        self._get(obj0, 1)
        self._alloc(obj0, 1, 10)
        self._get(obj0, 1)
        self._alloc(obj1, 1, 11)
        self._alloc(obj0, 2, 20)
        self._get(obj1, 1)
        self._get(obj0, 2)
        self._get(obj2, 1)
        self._say("-- alloc of one that exists")
        self._alloc(obj0, 1, 99)
        self._get(obj0, 1)
        self._say("-- get_or_alloc of one that exists, then of a new one")
        before = shadow.klp_shadow_get(obj0, 1)
        found = self._get_or_alloc(obj0, 1, 98)
        self._say(f"  same pointer: {'yes' if found == before else 'no'}")
        self._get_or_alloc(obj2, 1, 12)
        self._say("-- constructor that fails")
        self._alloc(obj3, 1, _REFUSED_VALUE)
        self._get_or_alloc(obj3, 1, _REFUSED_VALUE)
        self._get(obj3, 1)
        self._say("-- no constructor: is the data zero")
        plain = shadow.klp_shadow_alloc(obj3, 7, _VALUE_SIZE)
        self._say(f"alloc(obj3, 7, no ctor) = {self._value(plain)}")
        self._say("-- free one, with a destructor")
        shadow.klp_shadow_free(obj0, 1, self._dtor)
        for obj, shadow_id in ((obj0, 1), (obj1, 1), (obj0, 2)):
            self._get(obj, shadow_id)
        self._say("-- free one that is not there")
        shadow.klp_shadow_free(obj0, 1, self._dtor)
        self._say("-- free_all of id 1, with a destructor")
        shadow.klp_shadow_free_all(1, self._dtor)
        for obj, shadow_id in ((obj1, 1), (obj2, 1), (obj0, 2)):
            self._get(obj, shadow_id)
        self._say("-- free_all of id 2 and 7, no destructor")
        shadow.klp_shadow_free_all(2)
        shadow.klp_shadow_free_all(7)
        self._get(obj0, 2)
        self._say("-- alloc again after free")
        self._alloc(obj0, 1, 30)
        shadow.klp_shadow_free(obj0, 1, self._dtor)
        self._say(f"ctor calls {self._ctor_calls}, dtor calls {self._dtor_calls}")

    def _say(self, line: str) -> None:
        self._guest.log(f"shadow_user: {line}")

    def _name(self, obj: int) -> str:
        return f"obj{(obj - self._base) // _OBJECT_SIZE}"

    def _value(self, data: int) -> str:
        return str(self._guest.load(data, _VALUE_SIZE)) if data else "NULL"

    def _get(self, obj: int, shadow_id: int) -> None:
        data = self._shadow.klp_shadow_get(obj, shadow_id)
        self._say(f"get({self._name(obj)}, {shadow_id}) = {self._value(data)}")

    def _alloc(self, obj: int, shadow_id: int, value: int) -> None:
        self._say(f"alloc({self._name(obj)}, {shadow_id}, value {value})")
        data = self._shadow.klp_shadow_alloc(obj, shadow_id, _VALUE_SIZE, self._ctor_of(value))
        self._say(f"  = {self._value(data)}")

    def _get_or_alloc(self, obj: int, shadow_id: int, value: int) -> int:
        self._say(f"get_or_alloc({self._name(obj)}, {shadow_id}, value {value})")
        data = self._shadow.klp_shadow_get_or_alloc(obj, shadow_id, _VALUE_SIZE, self._ctor_of(value))
        self._say(f"  = {self._value(data)}")
        return data

    def _ctor_of(self, value: int) -> Constructor:
        def ctor(obj: int, data: int) -> int:
            self._ctor_calls += 1
            if value == _REFUSED_VALUE:
                return -EINVAL
            self._guest.store(data, value, _VALUE_SIZE, what="shadow_user value")
            self._say(f"  ctor {self._name(obj)} value {value}")
            return 0

        return ctor

    def _dtor(self, obj: int, data: int) -> None:
        self._dtor_calls += 1
        self._say(f"  dtor {self._name(obj)} value {self._value(data)}")
