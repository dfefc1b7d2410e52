"""Networks, runs and parameters as files that are read without trusting them."""

from truesparse.storage.archive import ModelFormatError, naming, read_archive, write_archive
from truesparse.storage.parameters import Missing, decode, encode, missing_in, refuse_missing
from truesparse.storage.runs import restore_network, restore_run, store_network, store_run
from truesparse.storage.sections import Arrays, Section

__all__ = [
    "Arrays",
    "Missing",
    "ModelFormatError",
    "Section",
    "decode",
    "encode",
    "missing_in",
    "naming",
    "read_archive",
    "refuse_missing",
    "restore_network",
    "restore_run",
    "store_network",
    "store_run",
    "write_archive",
]
