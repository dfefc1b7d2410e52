"""Networks, runs and parameters as files that are read without trusting them."""

from truesparse.storage.archive import ModelFormatError, naming, prepared, read_archive, write_archive
from truesparse.storage.networks import restore_network, store_network
from truesparse.storage.parameters import Missing, decode, encode, missing_in, refuse_missing
from truesparse.storage.runs import restore_run, store_run
from truesparse.storage.sections import Arrays, Section, text_array

__all__ = [
    "Arrays",
    "Missing",
    "ModelFormatError",
    "Section",
    "decode",
    "encode",
    "missing_in",
    "naming",
    "prepared",
    "read_archive",
    "refuse_missing",
    "restore_network",
    "restore_run",
    "store_network",
    "store_run",
    "text_array",
    "write_archive",
]
