"""The kernel in miniature as Python sees it: tasks, heap, modules, symbols, the patching CPU."""
