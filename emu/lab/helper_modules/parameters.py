"""Parameters of modules, as insmod hands them over and the kernel reads them."""

from __future__ import annotations

from collections.abc import Mapping

from emu.kernel.errno import EINVAL
from emu.kernel.guest import Guest


def read_parameters(
    guest: Guest, module: str, given: Mapping[str, str], *, texts: tuple[str, ...], numbers: tuple[str, ...]
) -> tuple[dict[str, str], dict[str, int]] | int:
    """Return the texts and numbers that a module's parameters are: empty and 0 where not given; or -EINVAL.

    One that the module does not have is ignored, one that is no number refused; the log tells of either.

    Source: kernel/params.c, parse_args; kernel/module/main.c, unknown_module_param_cb (6.1).
    """
    text, number = dict.fromkeys(texts, ""), dict.fromkeys(numbers, 0)
    for name, value in given.items():
        if name in text:
            text[name] = value
        elif name in number:
            try:
                number[name] = int(value, 0)
            except ValueError:
                guest.log(f"{module}: `{value}' invalid for parameter `{name}'")
                return -EINVAL
        else:
            guest.log(f"{module}: unknown parameter '{name}' ignored")
    return text, number
