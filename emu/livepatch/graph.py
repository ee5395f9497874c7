"""The klp_patch, klp_object and klp_func structs of a patch module in guest memory, and walks over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from emu.build.contents import CALLBACKS, VMLINUX
from emu.kernel.bytes import load_string, store_string, string_size
from emu.kernel.guest import Guest, View
from emu.livepatch.model import Func, Object, Patch
from emu.structs import KLP_FUNC, KLP_OBJECT, KLP_PATCH, KLP_STATE, Struct


@dataclass(slots=True, kw_only=True)
class LoadedPatch:
    """A patch module that is loaded: its declaration and where its structs lie.

    Args:
        patch: the declaration.
        view: its klp_patch.
        objects: address of each static klp_object -> its declaration, in order.
        funcs: address of each static klp_object -> its static klp_funcs, in order.
        number: what events of this patch carry.
        own_module: loading it entered the module, so unloading removes it.
    """

    patch: Patch
    view: View
    objects: dict[int, Object] = field(default_factory=dict)
    funcs: dict[int, list[View]] = field(default_factory=dict)
    number: int = 0
    own_module: bool = False


def load_graph(guest: Guest, patch: Patch, resolve: Callable[[Patch, Func], int]) -> LoadedPatch | None:
    """Return the structs of ``patch`` as its module brings them, or None when there is no memory.

    One allocation holds all of a module's data. ``resolve`` gives a replacement's address.
    """
    names = [patch.name, *(o.name for o in patch.objects if o.name is not None)]
    names += [f.old_name for o in patch.objects for f in o.funcs]
    count = sum(len(o.funcs) for o in patch.objects)
    states = KLP_PATCH.size + KLP_OBJECT.size * len(patch.objects) + KLP_FUNC.size * count
    # one more than there are: its id of 0 ends the array
    strings = states + KLP_STATE.size * (len(patch.states) + 1 if patch.states else 0)
    size = strings + sum(string_size(name) for name in names)
    base = guest.alloc(size, f"module {patch.name}")
    if not base:
        return None
    next_string, next_func = base + strings, base + KLP_PATCH.size + KLP_OBJECT.size * len(patch.objects)

    def place(text: str, what: str) -> int:
        nonlocal next_string
        at, next_string = next_string, next_string + string_size(text)
        store_string(guest, at, text, what)
        return at

    view = View(guest, KLP_PATCH, base)
    loaded = LoadedPatch(patch=patch, view=view)
    view["mod"] = place(patch.name, "module name")
    view["objs"] = base + KLP_PATCH.size if patch.objects else 0
    view["replace"] = int(patch.replace)
    if patch.states:
        view["states"] = base + states
        _fill_states(guest, patch, base + states)
    for i, declared in enumerate(patch.objects):
        obj = View(guest, KLP_OBJECT, base + KLP_PATCH.size + KLP_OBJECT.size * i)
        obj["name"] = place(declared.name, "object name") if declared.name is not None else 0
        obj["funcs"] = next_func
        for name in CALLBACKS:
            has = getattr(declared, name) is not None or name in declared.callbacks
            obj[f"callbacks.{name}"] = int(has)
        loaded.objects[obj.address], loaded.funcs[obj.address] = declared, []
        for func in declared.funcs:
            made = View(guest, KLP_FUNC, next_func)
            next_func += KLP_FUNC.size
            made["old_name"] = place(func.old_name, "function name")
            made["new_func"] = resolve(patch, func)
            made["old_sympos"] = func.sympos
            loaded.funcs[obj.address].append(made)
    return loaded


def _fill_states(guest: Guest, patch: Patch, array: int) -> None:
    for i, declared in enumerate(patch.states):
        state = View(guest, KLP_STATE, array + KLP_STATE.size * i)
        state["id"], state["version"], state["data"] = declared.id, declared.version, declared.data


def for_each_object(guest: Guest, patch: View) -> Iterator[View]:
    """Yield the objects of ``patch``, static ones first; the current one may be unlinked meanwhile."""
    return _entries(guest, KLP_OBJECT, patch.at("obj_list.next"), "node.next")


def for_each_func(guest: Guest, obj: View) -> Iterator[View]:
    """Yield the functions of ``obj``, static ones first; the current one may be unlinked meanwhile."""
    return _entries(guest, KLP_FUNC, obj.at("func_list.next"), "node.next")


def for_each_patch(guest: Guest, head: int) -> Iterator[View]:
    """Yield the enabled patches, oldest first; the current one may be unlinked meanwhile."""
    return _entries(guest, KLP_PATCH, head, "list.next")


def _entries(guest: Guest, struct: Struct, head: int, member: str) -> Iterator[View]:
    offset = struct.offset(member)
    return (View(guest, struct, node - offset) for node in guest.list_nodes(head))


def patch_name(guest: Guest, patch: View) -> str:
    """Return the name of a patch's module."""
    return load_string(guest, patch["mod"])


def object_name(guest: Guest, obj: View) -> str | None:
    """Return the name of the module that ``obj`` patches, None for the kernel image."""
    name = obj["name"]
    return load_string(guest, name) if name else None


def func_name(guest: Guest, func: View) -> str:
    """Return the name of the function that ``func`` replaces."""
    return load_string(guest, func["old_name"])


def object_directory(guest: Guest, obj: View) -> str:
    """Return what ``obj`` is called in sysfs, and in messages."""
    return object_name(guest, obj) or VMLINUX


def func_directory(name: str, sympos: int) -> str:
    """Return what a function is called in sysfs: ``name,position``, where position 0 counts as 1."""
    return f"{name},{sympos or 1}"


def is_object_loaded(obj: View) -> bool:
    """Return whether what ``obj`` patches is there: klp_is_object_loaded."""
    return not obj["name"] or bool(obj["mod"])
