"""Unicorn's error numbers that a guest can bring about: what ``Engine.stop_info`` is after `Stop.FAULT`.

Plain integers, so that native code can compare with them.
"""

from __future__ import annotations

from unicorn import unicorn_const

INSN_INVALID: int = unicorn_const.UC_ERR_INSN_INVALID
READ_UNMAPPED: int = unicorn_const.UC_ERR_READ_UNMAPPED
WRITE_UNMAPPED: int = unicorn_const.UC_ERR_WRITE_UNMAPPED
FETCH_UNMAPPED: int = unicorn_const.UC_ERR_FETCH_UNMAPPED
READ_PROT: int = unicorn_const.UC_ERR_READ_PROT
WRITE_PROT: int = unicorn_const.UC_ERR_WRITE_PROT
FETCH_PROT: int = unicorn_const.UC_ERR_FETCH_PROT
