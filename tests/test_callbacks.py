import math

from truesparse.callbacks import EpochPrinter
from truesparse.training_state import EpochRecord


def test_one_line_per_epoch(capsys):
    printer = EpochPrinter(20)
    printer.on_epoch_end(EpochRecord(3, 0.25, math.nan, math.nan, 0.003, [100, 50], [10, 5], 0.5))
    printer.on_epoch_end(EpochRecord(4, 0.25, 0.3, 0.9, 0.003, [100, 50], [0, 0], 0.5))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "epoch    3/20  loss 0.2500  learning rate 0.003  replaced 15 of 150  0.50 s"
    assert "validation loss 0.3000  score 0.9000" in second
