from __future__ import annotations

import pytest

from emu.lab.explorer.catalogue import Shelf


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    return Shelf(1)
