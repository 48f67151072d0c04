"""The vendors' wires, one file each, with a FACADE: found by themselves."""
