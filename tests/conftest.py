"""What all machines of the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emu.arch.port import Port
from emu.build.contents import Manifest
from emu.build.image import Image, build_kernel
from emu.lab import machine


@pytest.fixture(scope="session", autouse=True)
def _kernels_assembled_once() -> Iterator[None]:
    """Assemble each kernel once: an image is never changed."""
    built: dict[tuple[str, str], Image] = {}

    def build(port: Port, manifest: Manifest) -> Image:
        key = port.name, repr(manifest)
        if key not in built:
            built[key] = build_kernel(port, manifest)
        return built[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "build_kernel", build)
        yield
