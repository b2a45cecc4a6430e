"""Measures peatd beside its targets and beside what this machine can do at all: `python -m bench --help`."""
