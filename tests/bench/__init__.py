"""The measured table: `make bench`. Speed is promised here, and nowhere asserted in a test."""
