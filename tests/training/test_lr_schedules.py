import re

import pytest
from numpy.testing import assert_allclose

from truesparse.training.lr_schedules import Constant, Cosine, Step


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Constant(), [1, 1, 1, 1, 1]),
        (Step(milestones=(0.5, 0.75), gamma=0.1), [1, 1, 0.1, 0.01, 0.01]),
        (Cosine(), [1, 0.8535533905932737, 0.5, 0.14644660940672627, 0]),
    ],
)
def test_by_hand(schedule, factors):
    assert_allclose([schedule.factor(step, 40) for step in (0, 10, 20, 30, 40)], factors, atol=1e-12)


@pytest.mark.parametrize(
    "bad",
    [{"gamma": -1}, {"gamma": 10**400}, {"gamma": 1e20}, {"milestones": (10**400,)},
     {"gamma": float("nan")}, {"gamma": "0.1"}, {"milestones": 0.5}, {"milestones": (0.5, 1.5)},
     {"milestones": ("half",)}, {"milestones": (float("nan"),)}],
)  # fmt: skip
def test_bad_steps_are_named(bad):
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r} must be")):
        Step(**bad)


def test_cosine_stays_at_zero_when_training_goes_on_longer_than_planned():
    assert Cosine().factor(50, 40) == 0
