import numpy as np
import pytest
from numpy.testing import assert_allclose

from truesparse.evolution import Constant, CosineAnnealing, Linear


def run(schedule, n_steps, steps_per_epoch=10):
    return [schedule(step, step % steps_per_epoch, n_steps) for step in range(n_steps + 1)]


def test_constant_is_due_every_so_many_steps_but_not_before_training_nor_after_it():
    shares = run(Constant(drop_fraction=0.2, update_every=5), 20)
    assert [step for step, share in enumerate(shares) if share] == [5, 10, 15]
    assert {share for share in shares if share} == {0.2}


def test_every_epoch():
    shares = run(Constant(drop_fraction=0.2, update_every="epoch"), 40, steps_per_epoch=10)
    assert [step for step, share in enumerate(shares) if share] == [10, 20, 30]


def test_auto_divides_the_plan_but_leaves_some_steps_between_updates():
    long, short = (run(Constant(update_every="auto"), n_steps) for n_steps in (8000, 200))
    assert np.flatnonzero(long).tolist() == list(range(100, 8000, 100))
    assert np.flatnonzero(short).tolist() == list(range(25, 200, 25))


def test_begin_and_end_in_steps_and_in_shares():
    in_steps = run(Constant(update_every=5, begin_step=10, end_step=30), 40)
    in_shares = run(Constant(update_every=5, begin_step=0.25, end_step=0.75), 40)
    assert [step for step, share in enumerate(in_steps) if share] == [10, 15, 20, 25]
    assert in_steps == in_shares


def test_cosine_by_hand():
    shares = run(CosineAnnealing(drop_fraction=0.4, update_every=25, end_step=1.0), 100)
    assert_allclose(
        [shares[25], shares[50], shares[75], shares[100]],
        [0.2 * (1 + np.sqrt(0.5)), 0.2, 0.2 * (1 - np.sqrt(0.5)), 0],
        atol=1e-12,
    )


def test_cosine_ends_at_three_quarters():
    shares = run(CosineAnnealing(drop_fraction=0.4, update_every=1), 100)
    assert shares[74] > 0
    assert not any(shares[75:])
    assert all(np.diff(shares[1:76]) < 0)


def test_linear_by_hand():
    shares = run(Linear(drop_fraction=0.4, update_every=10, begin_step=10, end_step=50), 50)
    assert_allclose(shares[10:60:10], [0.4, 0.3, 0.2, 0.1, 0])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("drop_fraction", -0.1), ("drop_fraction", 1.1), ("drop_fraction", "a"), ("drop_fraction", float("nan")),
        ("update_every", 0), ("update_every", 1.5), ("update_every", "step"),
        ("begin_step", -1), ("end_step", 1.5), ("end_step", None), ("drop_fraction", 10**400), ("drop_fraction", True),
        ("update_every", True), ("begin_step", False), ("end_step", True),
    ],
)  # fmt: skip
def test_bad_values_are_named(parameter, value):
    with pytest.raises(ValueError, match=f"{parameter}={value!r}"):
        CosineAnnealing(**{parameter: value})


def test_small_types_of_numpy_count_as_far_as_others():
    small = CosineAnnealing(np.float16(0.5), np.uint8(100), begin_step=np.uint8(200), end_step=np.float16(0.5))
    assert run(small, 200_000) == run(CosineAnnealing(0.5, 100, begin_step=200, end_step=0.5), 200_000)
