"""Assembling shipped sources with Keystone, and proving what it made."""
