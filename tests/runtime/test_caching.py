import threading

from truesparse.runtime.caching import cached_property


class Squares:
    """Counts how often it computes; `waits` holds a computation up."""

    def __init__(self, waits=None):
        self.calls, self.waits = 0, waits

    @cached_property
    def value(self):
        """A square."""
        self.calls += 1
        if self.waits:
            self.waits.wait()
        return 9


def test_computed_once():
    squares = Squares()
    assert (squares.value, squares.value, squares.calls) == (9, 9, 1)
    assert Squares.value.__doc__ == "A square."


def test_nobody_waits_for_another_instance():
    """As a process would that is forked in the meantime, and where the other thread does not go on."""
    held_up = Squares(threading.Event())
    thread = threading.Thread(target=lambda: held_up.value)
    thread.start()
    other = threading.Thread(target=lambda: Squares().value, daemon=True)
    other.start()
    other.join(60)
    assert not other.is_alive()
    held_up.waits.set()
    thread.join()
