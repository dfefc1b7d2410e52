import re

import pytest
from numpy.testing import assert_allclose

from truesparse.training.lr_schedules import Constant, Cosine, Linear, Step, WarmUp


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Constant(), [1, 1, 1, 1, 1]),
        (Step(milestones=(0.5, 0.75), gamma=0.1), [1, 1, 0.1, 0.01, 0.01]),
        (Cosine(), [1, 0.8535533905932737, 0.5, 0.14644660940672627, 0]),
        (Linear(), [1, 0.75, 0.5, 0.25, 0]),
        (Linear(end=0.01), [1, 0.7525, 0.505, 0.2575, 0.01]),
        (WarmUp(share=0.25), [0.1, 1, 0.75, 0.25, 0]),
        (WarmUp("constant", share=0.5), [0.05, 0.55, 1, 1, 1]),
        (WarmUp(Step(milestones=(0.5,), gamma=0.1), share=0.5), [0.05, 0.55, 1, 0.1, 0.1]),
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


@pytest.mark.parametrize(
    ("kind", "bad", "allowed"),
    [
        (Linear, {"end": -0.1}, "a number in [0,"),
        (WarmUp, {"share": 0}, "a number in (0, 1)."),
        (WarmUp, {"share": 1}, "a number in (0, 1)."),
        (WarmUp, {"then": Cosine}, "a learning-rate schedule"),
        (WarmUp, {"then": None}, "a learning-rate schedule"),
    ],
)
def test_bad_lines_are_named(kind, bad, allowed):
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r} must be {allowed}")):
        kind(**bad)


def test_the_rest_of_a_warm_up_is_named():
    with pytest.raises(ValueError, match=r"then: learning_rate='cosin' is not registered; .* Did you mean 'cosine'"):
        WarmUp(then="cosin")


def test_a_warm_up_of_a_short_plan_takes_one_step():
    assert [WarmUp(share=0.01).factor(step, 1) for step in (0, 1)] == [1, 1]


def test_cosine_stays_at_zero_when_training_goes_on_longer_than_planned():
    assert Cosine().factor(50, 40) == Linear().factor(50, 40) == WarmUp().factor(50, 40) == 0
