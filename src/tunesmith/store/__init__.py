"""Byte records on disk by what they are made of: computed once, kept, shared between processes.

FOLDER/SHELF/meta.json      what the records are, written whole
FOLDER/SHELF/<uuid>.bin     records one after another, each from a multiple of 64 bytes on
FOLDER/SHELF/<uuid>.idx     an entry per record: key, digest, offset, length, layout, CRC-32
FOLDER/SHELF/claims, in-use empty files that only carry locks; the kernel drops them with their process

A writer appends to files of its own only, data before their entry, so nothing needs recovery: what a
killed writer left unfinished has no valid entry. Every record's digest is compared before the first use
in a process: a damaged record is missing, never wrong. What `commit` returned True for survives a power
cut. A disk or limit that is reached ends the storing, not the run: `Shelf.full` says why.
"""

from tunesmith.store.shelf import Shelf
from tunesmith.store.store import Store

CHOICES = "choices"  # the folder beside the shelves in which it is noted which engine was chosen for what

__all__ = ["CHOICES", "Shelf", "Store"]
