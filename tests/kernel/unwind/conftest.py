"""What every machine of these tests runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emu.arch.port import Port
from emu.build.contents import Manifest
from emu.build.image import Image, build_kernel
from emu.lab import machine


@pytest.fixture(scope="session", autouse=True)
def _kernels_assembled_once() -> Iterator[None]:
    """Assemble the kernel of a port once: an image is never changed."""
    built: dict[str, Image] = {}

    def build(port: Port, manifest: Manifest) -> Image:
        if port.name not in built:
            built[port.name] = build_kernel(port, manifest)
        return built[port.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "build_kernel", build)
        yield
