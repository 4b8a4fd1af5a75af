"""Damaged and odd input for everything that reads files or text: `make fuzz`, see `tests.fuzz.__main__`."""
