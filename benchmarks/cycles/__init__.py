"""Kernels that the cycle model is validated with."""
