"""Local receptive fields: windows against a plain loop, exact counts, borders, small worlds, growth near home."""

import itertools
import math
import re
import tracemalloc

import numpy as np
import pytest
from helpers import assert_same_run

import truesparse
from truesparse import Evolution, SparseMLPClassifier, SparseMLPEnsembleClassifier, SparseMLPRegressor
from truesparse.evolution import OMP, Constant, Cosine, Cubic, Gradient, PathWeightGrow, Random
from truesparse.evolution.first import first_patterns
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology import LocalFields
from truesparse.topology.density import layer_shapes

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 6 * 6 * 2)).astype(np.float32)
Y = (X[:, 7] * X[:, 8] > 0).astype(int)
MAPS = [(6, 6, 3), (3, 3, 4)]
SMALL = {"max_iter": 3, "update_every": 2, "random_state": 0}


def patterns_of(fields, n_outputs=5, seed=0, **counts):
    shapes = layer_shapes([int(np.prod(fields.image_shape)), *fields.hidden_layer_sizes, n_outputs])
    counts = {"epsilon": None, "density": None} | counts
    return first_patterns(fields, shapes, streams=RandomStreams(seed), signals={}, **counts)


def window_of(unit, own, below, width, border):
    """Numbers of the units below in the window of a unit, by the definition."""
    *place, _ = np.unravel_index(unit, own)
    axes = []
    for y, n_own, n, w in zip(place, own[:-1], below[:-1], width, strict=True):
        w = w if border == "cut" else min(w, n)
        first = int(np.floor((y + 0.5) * n / n_own - w / 2))
        if border == "inside":
            first = min(max(first, 0), n - w)
        found = range(first, first + w)
        axes.append({p % n for p in found} if border == "wrap" else [p for p in found if 0 <= p < n])
    found = itertools.product(*axes, range(below[-1]))
    return sorted(int(np.ravel_multi_index(p, below)) for p in found)


@pytest.mark.parametrize("border", ["inside", "cut", "wrap"])
@pytest.mark.parametrize(
    ("image_shape", "maps", "window"),
    [
        ((7, 6, 2), [(7, 6, 1), (3, 2, 4)], 3),
        ((8, 8, 1), [(4, 4, 3), (8, 8, 2)], 4),  # also to a larger map
        ((9, 5, 2), [(4, 5, 2), (2, 2, 2)], ((5, 2), 9)),
        ((20, 3), [(10, 2), (4, 5)], (5, 4)),
        ((4, 5, 6, 2), [(2, 5, 3, 2)], 3),
        ((6, 5, 2), [(6, 5, 2), (3, 2, 1)], ((7, 5), 20)),  # wider than the map
    ],
)
def test_whole_windows(image_shape, maps, window, border):
    fields = LocalFields(image_shape, maps, window, border=border)
    *hidden, output = patterns_of(fields)
    for layer, pattern in enumerate(hidden):
        below = (image_shape, *maps)[layer]
        widths = fields.window[layer]
        expected = [window_of(unit, maps[layer], below, widths, border) for unit in range(pattern.shape[0])]
        assert [row.tolist() for row in np.split(pattern.indices, pattern.indptr[1:-1])] == expected
    assert output.density == 1


@pytest.mark.parametrize("border", ["inside", "cut", "wrap"])
def test_counts_are_met_exactly_and_by_all_units_alike(border):
    fields = LocalFields((6, 6, 2), MAPS, (3, 4), n_connections=(801, 533), border=border)
    *hidden, output = patterns_of(fields)
    assert [pattern.nnz for pattern in hidden] == [801, 533]
    assert output.nnz == 5 * 36
    for layer, pattern in enumerate(hidden):
        room = LocalFields((6, 6, 2), MAPS, (3, 4), border=border).allowed(layer, pattern.shape)
        assert np.isin(pattern.keys, room.keys).all()
        least = pattern.out_units_fan_in.max() - 1
        assert (pattern.out_units_fan_in >= np.minimum(room.out_units_fan_in, least)).all()
    assert any((a.keys != b.keys).any() for a, b in zip(hidden, patterns_of(fields, seed=1), strict=False))


@pytest.mark.parametrize("counts", [{"epsilon": 2.5}, {"density": 0.1}])
@pytest.mark.parametrize("full_output", [True, False])
def test_the_smallest_windows_that_hold_the_estimators_numbers(counts, full_output):
    fields = LocalFields((6, 6, 2), MAPS, full_output=full_output)
    patterns = patterns_of(fields, **counts)
    shapes = [pattern.shape for pattern in patterns]
    n_pairs = sum(np.prod(shape) for shape in shapes)
    if "density" in counts:
        assert sum(pattern.nnz for pattern in patterns) == round(0.1 * n_pairs)
    else:
        assert [p.nnz for p in patterns[:-1]] == [round(2.5 * sum(shape)) for shape in shapes[:-1]]
    assert (patterns[-1].density == 1) == full_output
    for layer, pattern in enumerate(patterns[:-1]):
        widest = 0
        for unit, row in enumerate(np.split(pattern.indices, pattern.indptr[1:-1])):
            own, below = MAPS[layer], ((6, 6, 2), *MAPS)[layer]
            fits = (w for w in itertools.count(1) if set(row) <= set(window_of(unit, own, below, (w, w), "inside")))
            widest = max(widest, next(fits))
        assert pattern.nnz <= LocalFields((6, 6, 2), MAPS, widest).allowed(layer, pattern.shape).nnz
        if widest > 1:
            assert pattern.nnz > LocalFields((6, 6, 2), MAPS, widest - 1).allowed(layer, pattern.shape).nnz


def test_a_share_of_the_channels():
    fields = LocalFields((6, 6, 4), [(6, 6, 20)], 3, channels=0.5)
    (pattern, _) = patterns_of(fields)
    pairs = set()
    for row in np.split(pattern.indices, pattern.indptr[1:-1]):
        read = np.unique(row % 4)
        assert (row.size, read.size) == (2 * 9, 2)
        pairs.add(tuple(read))
    assert len(pairs) == 6


def test_a_share_goes_anywhere():
    whole = patterns_of(LocalFields((6, 6, 2), MAPS, 3))
    world = patterns_of(LocalFields((6, 6, 2), MAPS, 3, rewired=0.1))
    for layer in range(2):
        assert world[layer].nnz == whole[layer].nnz
        elsewhere = ~np.isin(world[layer].keys, whole[layer].keys)
        assert elsewhere.sum() == round(0.1 * whole[layer].nnz)
    everywhere, *_ = patterns_of(LocalFields((16, 16, 1), [(16, 16, 1)], 3, rewired=1.0))
    distance = abs(everywhere.rows // 16 - everywhere.indices // 16)
    assert distance.mean() == pytest.approx(16 / 3, abs=0.5)  # of two places drawn uniformly


@pytest.mark.parametrize("grow", [Random(), Cosine(), OMP(), Gradient(), PathWeightGrow()])
def test_connections_move_near_home(grow):
    fields = LocalFields((6, 6, 2), MAPS, 3)
    evolution = Evolution(grow=grow, within=fields.wider(1))
    model = SparseMLPClassifier(None, topology_init=fields, evolution=evolution, drop_fraction=0.3, **SMALL).fit(X, Y)
    assert np.sum(model.history_["edges_replaced"]) > 0
    first = patterns_of(fields, n_outputs=2)
    moved = 0
    for layer, coef in enumerate(model.coefs_[:2]):
        own, below = MAPS[layer], ((6, 6, 2), *MAPS)[layer]
        assert coef.nnz == first[layer].nnz
        for unit in range(coef.shape[1]):
            found = set(coef[:, [unit]].tocoo().row.tolist())
            assert found <= set(window_of(unit, own, below, (5, 5), "inside"))
            moved += len(found - set(window_of(unit, own, below, (3, 3), "inside")))
    assert moved > 0


def test_a_sparse_output_layer_grows_anywhere_without_memory_of_all_pairs():
    fields = LocalFields((4, 4, 1), [(4, 4, 128)], 3, n_connections=(9000, 4000), full_output=False)
    evolution = Evolution(
        grow=Random(), within=fields, schedule=Constant(drop_fraction=0.5, update_every=2), density=Cubic(1.5)
    )
    images, targets = rng.standard_normal((20, 16), dtype=np.float32), np.zeros((20, 1000), dtype=np.float32)
    model = SparseMLPRegressor(None, topology_init=fields, evolution=evolution, max_iter=5, random_state=0)
    model.fit(images, targets)  # compiles
    tracemalloc.start()
    try:
        model.fit(images, targets)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.history_["edges_replaced"][-1][1] > 0
    assert model.coefs_[1].nnz == 4000
    assert peak < 4 * 2048 * 1000  # bytes of an index for each pair


def test_hidden_sizes_from_the_maps_files_and_more_training(tmp_path):
    fields = LocalFields(np.array([6, 6, 2]), np.array(MAPS), np.int64(3), channels=np.float32(0.5))
    evolution = Evolution(grow=Random(), within=LocalFields((6, 6, 2), MAPS, (4, (3, 4))))
    settings = {"topology_init": fields, "evolution": evolution, "warm_start": True, **SMALL}
    by_maps = SparseMLPClassifier(None, **settings).fit(X, Y)
    given = SparseMLPClassifier((108, 36), **settings).fit(X, Y)
    assert_same_run(by_maps, given)
    truesparse.save(by_maps, tmp_path / "file")
    loaded = truesparse.load(tmp_path / "file")
    assert loaded.topology_init == fields
    assert_same_run(loaded.fit(X, Y), given.fit(X, Y))
    SparseMLPRegressor(None, topology_init=fields, **SMALL).fit(X, X[:, 0])
    SparseMLPEnsembleClassifier(SparseMLPClassifier(None, topology_init=fields, **SMALL), n_folds=2).fit(X, Y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (72,)}, "image_shape=(72,) must hold two or more positive integers, the channels last."),
        ({"image_shape": "66"}, "image_shape='66' must hold"),
        ({"maps": []}, "maps=[] must be a sequence with one map per hidden layer."),
        ({"maps": [(6, 18), (3, 3, 4)]}, "maps[0]=(6, 18) must hold 3 positive integers"),
        ({"maps": [(6, 6, 0)]}, "maps[0]=(6, 6, 0) must hold"),
        ({"window": 0}, "window=0 must be a positive integer, or one or a tuple per hidden layer."),
        ({"window": (3,)}, "window=(3,) must be"),
        ({"window": (3, (3, 2, 1))}, "window[1]=(3, 2, 1) must be a positive integer, or 2 of them."),
        ({"n_connections": (10, 10, 10)}, "n_connections=(10, 10, 10) must hold 2 positive integers"),
        ({"n_connections": (10, 10), "full_output": False}, "must hold 3 positive integers, one per layer."),
        ({"image_shape": np.array(72)}, "image_shape=array(72) must hold"),
        ({"window": np.array(3)}, "window=array(3) must be"),
        ({"n_connections": 300}, "n_connections=300 must hold 2 positive integers, one per hidden layer."),
        ({"n_connections": {10, 20}}, "must hold 2 positive integers, one per hidden layer."),
        ({"border": np.array(["cut", "wrap"])}, "border=array(['cut', 'wrap'], dtype='<U4') must be one of"),
        ({"channels": 0}, "channels=0 must be a number in (0, 1]."),
        ({"rewired": 1.5}, "rewired=1.5 must be a number in [0, 1]."),
        ({"border": "valid"}, "border='valid' must be one of"),
        ({"full_output": 1}, "full_output=1 must be True or False."),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LocalFields(**{"image_shape": (6, 6, 2), "maps": MAPS, "window": 3} | change)


def test_numbers_are_those_of_python():
    """NumPy's would bring their range along: float16 has no number above 65,504."""
    fields = LocalFields(
        np.array((80, 80, 1)),
        np.array([[80, 80, 4]]),
        np.int8(5),
        np.array([70_000]),
        np.float16(1),
        "cut",
        np.float16(0.5),
    )
    assert fields == LocalFields((80, 80, 1), [(80, 80, 4)], 5, (70_000,), border="cut", rewired=0.5)
    numbers = [*fields.image_shape, *fields.maps[0], *fields.window[0], *fields.n_connections]
    assert {type(number) for number in numbers} == {int}
    assert patterns_of(fields)[0].nnz == 70_000


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"image_shape": (6, 6, 3)}, {}, "image_shape=(6, 6, 3) holds 108 values, but there are 72 features."),
        ({}, {"hidden_layer_sizes": (108, 40)}, "hold [108, 36] units, but hidden_layer_sizes are [108, 40];"),
        ({}, {"epsilon": 30}, "layer 0, maps (6, 6, 2) to (6, 6, 3), does not hold 5400 connections with window="
         "(3, 3); window=5 does."),
        ({"n_connections": (8000, 100), "window": None}, {}, "does not hold 8000 connections; no window does."),
        ({"n_connections": (80, 100)}, {"density": 0.1}, "n_connections=(80, 100) and density=0.1 both say"),
        ({"full_output": False}, {}, "full_output=False needs n_connections, epsilon or density"),
        ({}, {"density": 0.001}, "density=0.001 leaves no connections beside the 72 of the full output layer"),
        ({}, {"evolution": Evolution(density=Cubic(4))}, "evolution.density begins with [7776, 3888, 72] weights of "
         "the layers: layer 0, maps (6, 6, 2) to (6, 6, 3), does not hold 7776 connections with window=(3, 3); window=6"
         " does."),
        ({"full_output": False, "n_connections": (9, 9, 99)}, {}, "the output layer has 72 pairs only."),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_which_layer_and_what_would(change, settings, message):
    fields = LocalFields(**{"image_shape": (6, 6, 2), "maps": MAPS, "window": 3} | change)
    with pytest.raises(ValueError, match=re.escape(message)):
        SparseMLPClassifier(**{"hidden_layer_sizes": None, "topology_init": fields} | settings, max_iter=1).fit(X, Y)


def test_bad_restrictions():
    for within, message in (
        (LocalFields((6, 6, 2), MAPS), "needs a window"),
        (LocalFields((6, 6, 2), MAPS, 3, channels=0.5), "needs a window, and channels=1"),
        (LocalFields((6, 6, 2), [(6, 6, 4), (3, 3, 4)], 3), "does not fit a layer 0 of shape (fan_out, fan_in) (108,"),
        (LocalFields((6, 6, 2), [(6, 6, 3)], 3), "does not fit a layer 2"),
    ):
        model = SparseMLPClassifier((108, 36), evolution=Evolution(grow=Random(), within=within), epsilon=1, **SMALL)
        with pytest.raises(ValueError, match=re.escape(message)):
            model.fit(X, Y)
    with pytest.raises(ValueError, match="by=0 must be a positive integer"):
        LocalFields((6, 6, 2), MAPS, 3).wider(0)
    with pytest.raises(ValueError, match="hidden_layer_sizes=None needs a topology_init that tells them"):
        SparseMLPClassifier(None).fit(X, Y)


def test_windows_of_which_units_read_a_share_restrict_no_growth_when_they_are_wider_either():
    wider = LocalFields((6, 6, 2), MAPS, 3, channels=0.5).wider(1)
    with pytest.raises(ValueError, match="channels=1"):
        wider.allowed(0, (math.prod(MAPS[0]), 72))
