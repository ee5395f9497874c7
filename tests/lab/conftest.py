"""Machines on which several use ftrace."""

from __future__ import annotations

import pytest

from tests.lab.users import SETUPS, Users


@pytest.fixture(params=SETUPS)
def users(request: pytest.FixtureRequest) -> Users:
    return Users(request.param)


@pytest.fixture(params=SETUPS)
def on_ftrace(request: pytest.FixtureRequest) -> Users:
    """A machine on which kprobes at entries are taken by ftrace; in Linux arm64 has none of those."""
    users = Users(request.param)
    users.users.kprobes.on_ftrace = True
    return users
