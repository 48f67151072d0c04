"""Reads documents: a file of some type → blocks of text → chunks. It runs in a process of its own, see `reading`."""
