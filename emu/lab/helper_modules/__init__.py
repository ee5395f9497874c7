"""What the modules of the observations do, in Python, when they are loaded and unloaded."""

from emu.lab.helper_modules.works import helper_works

__all__ = ["helper_works"]
