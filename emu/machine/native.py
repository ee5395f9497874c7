"""Calling Unicorn's C API from Numba code, through plain addresses.

Addresses travel in the control block as integers and are called through
intrinsics, so that every compiled function stays cacheable (a ctypes function
object inside one would disable Numba's cache).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, cast

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array, populate_array
from numpy.typing import NDArray
from unicorn.unicorn_py3 import unicorn as binding

# An intrinsic's own signature is Numba's protocol; the name beside it has the type that callers see.


def _pointer_call(arguments: int) -> Any:
    """Return an intrinsic that calls address a[0] with ``arguments`` 64-bit words and gives an int32."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        function = ir.FunctionType(ir.IntType(32), [word] * arguments)
        return builder.call(builder.inttoptr(values[0], function.as_pointer()), list(values[1:]))

    return codegen


@nb.extending.intrinsic
def _call1(typing_context: Any, function: Any, a: Any) -> Any:
    """Call ``int function(a)``."""
    return types.int32(types.int64, types.int64), _pointer_call(1)


call1 = cast("Callable[[int, int], int]", _call1)


@nb.extending.intrinsic
def _call3(typing_context: Any, function: Any, a: Any, b: Any, c: Any) -> Any:
    """Call ``int function(a, b, c)``."""
    return types.int32(types.int64, types.int64, types.int64, types.int64), _pointer_call(3)


call3 = cast("Callable[[int, int, int, int], int]", _call3)


@nb.extending.intrinsic
def _call4(typing_context: Any, function: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Call ``int function(a, b, c, d)``."""
    word = types.int64
    return types.int32(word, word, word, word, word), _pointer_call(4)


call4 = cast("Callable[[int, int, int, int, int], int]", _call4)


@nb.extending.intrinsic
def _call5(typing_context: Any, function: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Call ``int function(a, b, c, d, e)``."""
    word = types.int64
    return types.int32(word, word, word, word, word, word), _pointer_call(5)


call5 = cast("Callable[[int, int, int, int, int, int], int]", _call5)


@nb.extending.intrinsic
def _tell(typing_context: Any, function: Any, kind: Any, block: Any, a: Any, b: Any) -> Any:
    """Call ``void function(kind, block, a, b)``, if there is one."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [word] * 4)
        with builder.if_then(builder.icmp_unsigned("!=", values[0], word(0))):
            builder.call(builder.inttoptr(values[0], function.as_pointer()), list(values[1:]))
        return context.get_dummy_value()

    word = types.int64
    return types.none(word, word, word, word, word), codegen


tell = cast("Callable[[int, int, int, int, int], None]", _tell)


@nb.extending.intrinsic
def _to_pointer(typing_context: Any, address: Any) -> Any:
    """Turn an integer address into a void pointer."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


to_pointer = cast("Callable[[int], Any]", _to_pointer)


@nb.extending.intrinsic
def _to_address(typing_context: Any, pointer: Any) -> Any:
    """Turn a void pointer into its integer address."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ptrtoint(values[0], ir.IntType(64))

    return types.int64(types.voidptr), codegen


to_address = cast("Callable[[Any], int]", _to_address)


Words = NDArray[np.int64]
"""A control block, a CPU block or a row, as native code sees it."""


def _viewer(item: Any) -> Any:
    """Return an intrinsic (address, count) that views memory as an array of ``item``.

    ``numba.carray`` would do, but not in code that is compiled without reference counts.
    """
    array = types.Array(item, 1, "C")

    @nb.extending.intrinsic
    def view(typing_context: Any, address: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            found = make_array(array)(context, builder)  # type: ignore[no-untyped-call]
            data = context.get_data_type(item)
            size = context.get_abi_sizeof(data)
            populate_array(  # type: ignore[no-untyped-call]
                found, data=builder.inttoptr(values[0], data.as_pointer()), shape=[values[1]],
                strides=[context.get_constant(types.intp, size)],
                itemsize=context.get_constant(types.intp, size), meminfo=None,
            )  # fmt: skip
            return found._getvalue()

        return array(types.int64, types.int64), codegen

    return view


words = cast("Callable[[int, int], NDArray[np.int64]]", _viewer(types.int64))
"""View so many int64 at a host address."""

octets = cast("Callable[[int, int], NDArray[np.uint8]]", _viewer(types.uint8))
"""View so many uint8 at a host address."""

halves = cast("Callable[[int, int], NDArray[np.int32]]", _viewer(types.int32))
"""View so many int32 at a host address."""


def function_address(name: str) -> int:
    """Return the address of Unicorn's C function ``name``."""
    address = ctypes.cast(getattr(binding.uclib, name), ctypes.c_void_p).value
    assert address is not None, f"unicorn has no {name}"
    return address
