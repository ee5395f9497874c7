"""The arm64 port."""
