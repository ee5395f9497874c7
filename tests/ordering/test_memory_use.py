from __future__ import annotations

import pytest

from emu.ordering.memory_use import NO_LIMIT, MemoryBudgetError, MemoryLimit, resident_bytes


class TestMemoryLimit:
    def test_counts_what_is_held(self) -> None:
        before = resident_bytes()

        held = bytearray(b"x" * (64 << 20))

        assert resident_bytes() - before >= len(held) // 2

    def test_too_little_is_told_at_the_first_look(self) -> None:
        with pytest.raises(MemoryBudgetError):
            MemoryLimit(1).check()

    def test_what_is_asked_for_counts(self) -> None:
        limit = MemoryLimit((resident_bytes() >> 20) + 512)

        assert limit.fits()
        assert limit.fits(1 << 20)
        assert not limit.fits(1 << 30)

    def test_without_a_limit_all_fits(self) -> None:
        NO_LIMIT.check()

        assert NO_LIMIT.fits(1 << 60)
