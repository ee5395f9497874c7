"""How many cycles a piece of code takes: predicted by a CPU model, measured on the host, compared."""
