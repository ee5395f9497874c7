"""What instructions of litmus tests do: values, events, dependencies. No engine runs here."""
