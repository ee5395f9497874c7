"""Ports and setups as fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emu.arch import PORTS, Port
from emu.build.contents import Manifest
from emu.build.image import Image, build_kernel
from emu.lab import machine
from tests.conformance.setups import EXACT_SETUPS, MODULE_SETUPS, SETUPS, Setup


@pytest.fixture(params=PORTS.values(), ids=list(PORTS))
def port(request: pytest.FixtureRequest) -> Port:
    """Every registered port."""
    found = request.param
    assert isinstance(found, Port)
    return found


def _setup(request: pytest.FixtureRequest) -> Setup:
    found = request.param
    assert isinstance(found, Setup)
    return found


@pytest.fixture(params=SETUPS, ids=str)
def setup(request: pytest.FixtureRequest) -> Setup:
    """Every port and way of tracing, in fast and exact mode."""
    return _setup(request)


@pytest.fixture(params=EXACT_SETUPS, ids=str)
def exact_setup(request: pytest.FixtureRequest) -> Setup:
    """Every port and way of tracing, in exact mode."""
    return _setup(request)


@pytest.fixture(params=MODULE_SETUPS, ids=str)
def module_setup(request: pytest.FixtureRequest) -> Setup:
    """The same as ``setup``, and with modules out of a call's reach where that can be."""
    return _setup(request)


@pytest.fixture(scope="session", autouse=True)
def _kernels_assembled_once() -> Iterator[None]:
    """Assemble the kernel of a port once: an image is never changed."""
    built: dict[tuple[str, str], Image] = {}

    def build(port: Port, manifest: Manifest) -> Image:
        key = port.name, manifest.name
        if key not in built:
            built[key] = build_kernel(port, manifest)
        return built[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "build_kernel", build)
        yield
