"""CPUs over one memory, the native loop, stale instruction fetch."""
