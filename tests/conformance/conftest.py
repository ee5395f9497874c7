"""Ports and setups as fixtures."""

from __future__ import annotations

import pytest

from emu.arch import PORTS, Port
from tests.conformance.setups import EXACT_SETUPS, MODULE_SETUPS, SETUPS, TIMED_SETUPS, Setup


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


@pytest.fixture(params=TIMED_SETUPS, ids=str)
def timed_setup(request: pytest.FixtureRequest) -> Setup:
    """Every port and way of tracing, in exact mode with a cycle model."""
    return _setup(request)


@pytest.fixture(params=MODULE_SETUPS, ids=str)
def module_setup(request: pytest.FixtureRequest) -> Setup:
    """The same as ``setup``, and with modules out of a call's reach where that can be."""
    return _setup(request)
