"""Loading ELF objects and executables into the guest's memory map."""
