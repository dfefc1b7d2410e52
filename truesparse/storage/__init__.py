"""Networks, runs and parameters as files that are read without trusting them."""

from truesparse.storage.archive import ModelFormatError, naming, read_archive, write_archive
from truesparse.storage.parameters import decode, encode
from truesparse.storage.runs import restore_network, restore_run, store_network, store_run
from truesparse.storage.sections import Arrays, Section

__all__ = [
    "Arrays",
    "ModelFormatError",
    "Section",
    "decode",
    "encode",
    "naming",
    "read_archive",
    "restore_network",
    "restore_run",
    "store_network",
    "store_run",
    "write_archive",
]
