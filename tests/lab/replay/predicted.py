"""Steps of records that nobody observed: what a 6.1 kernel would do, predicted from its sources.

They are no observations. Source of every line and return code: kernel/livepatch/core.c, patch.c, state.c,
transition.c; kernel/kprobes.c; kernel/trace/ftrace.c; kernel/module/main.c (6.1).
"""

from __future__ import annotations

from typing import Any

HELPERS = "load the helper modules: viccore, victim"


def step(action: str, returned: object = None, *dmesg: str, **observed: object) -> dict[str, Any]:
    """Return one step."""
    return {"action": action, "returned": returned, "dmesg": [*dmesg], "observed": observed}


def klp(text: str) -> str:
    return f"livepatch: {text}"


def taint(patch: str) -> str:
    return f"{patch}: tainting kernel with TAINT_LIVEPATCH"


def tree(enabled: int, transition: int, **objects: list[str]) -> dict[str, Any]:
    """Return a patch's directory; an object is patched when the list of its functions begins with "+"."""
    return {
        "enabled": str(enabled),
        "transition": str(transition),
        "objects": {
            name: {"patched": str(int(functions[0] == "+")), "functions": [f"{f},1" for f in functions[1:]]}
            for name, functions in objects.items()
        },
    }


def helpers() -> dict[str, Any]:
    return step(HELPERS, 0)


def load(patch: str, *, first: bool = False, **observed: object) -> dict[str, Any]:
    """A patch is loaded, and its transition begins; the first one of a boot taints."""
    lines = [klp(f"enabling patch '{patch}'"), klp(f"'{patch}': starting patching transition")]
    return step(f"load module {patch}", 0, *([taint(patch)] if first else []), *lines, **observed)


def on(patch: str, **observed: object) -> dict[str, Any]:
    return step("wait for the transition to end", "ended", klp(f"'{patch}': patching complete"), **observed)


def enabled(patch: str, *, first: bool = False, **observed: object) -> list[dict[str, Any]]:
    return [load(patch, first=first), on(patch, **observed)]


def disable(patch: str, **observed: object) -> dict[str, Any]:
    line = klp(f"'{patch}': starting unpatching transition")
    return step(f"write 0 to {patch}/enabled", 2, line, **observed)


def off(patch: str, **observed: object) -> dict[str, Any]:
    return step("wait for the transition to end", "ended", klp(f"'{patch}': unpatching complete"), **observed)


def disabled(patch: str, **observed: object) -> list[dict[str, Any]]:
    return [disable(patch), off(patch, **observed)]


def refused(patch: str, error: str, *lines: str, first: bool = False) -> dict[str, Any]:
    """A patch that fails in klp_enable_patch after it was announced."""
    told = [klp(f"enabling patch '{patch}'"), *(klp(line) for line in lines)]
    told += [klp(f"failed to enable patch '{patch}'"), klp(f"'{patch}': unpatching complete")]
    return step(f"load module {patch}", error, *([taint(patch)] if first else []), *told)


def sleeps(name: str = "sleeper", function: str = "vic_wait", gate: int = 0, how: str = "") -> dict[str, Any]:
    return step(f"{name} goes to sleep in {function}{how}", None, sleeping_at_gates=[gate])


def opened(gate: int, *dmesg: str) -> dict[str, Any]:
    return step(f"open gate {gate}", 2, *dmesg)


def module(refs: str = "1", used_by: str = "-", taints: str = "(OEK)") -> dict[str, str]:
    """Return a line of /proc/modules."""
    return {"refs": refs, "used_by": used_by, "state": "Live", "taint": taints}


def ops_user(parameters: str, result: int, *, name: str = "vic_alpha", ipmod: int = 0) -> dict[str, Any]:
    """A second user of a site."""
    returned = "-EBUSY" if result == -16 else result
    line = f"ops_user: register on {name} ipmod={ipmod}: {result}"
    return step(f"load module ops_user ({parameters})", returned, line)
