"""Convolutions and batch norms of planes, against dense ones."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference_images as reference
from truesparse.kernels.convolution import gradient_of_products
from truesparse.kernels.jit import threads
from truesparse.kernels.lanes import width_of
from truesparse.kernels.planes import errors_of_means, means_of_places, merge_phases, split_phases
from truesparse.network.batch_norm import EPS, BatchNorm
from truesparse.network.convolution import SparseConv2d
from truesparse.network.planes import BORDER
from truesparse.topology import Pattern

SAMPLES, TILES = 32, 2
CASES = [(3, 1), (3, 2), (1, 1), (1, 2)]
SIZES = [(8, 8), (5, 7), (1, 1)]


@pytest.fixture(autouse=True)
def one_thread():
    """Kernels for several threads take three times as long to compile; only tests that compare both need them."""
    with threads(1):
        yield


def layer_of(window, stride, size, dtype, rng, nnz=40):
    """A layer from 5 to 6 channels, with weights; output channel 2 and input channel 3 have none."""
    shape = (6, 5 * window**2)
    rows, columns = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    allowed = np.flatnonzero((rows != 2) & (columns // window**2 != 3))
    keys = np.sort(rng.choice(allowed, min(nnz, allowed.size), replace=False))
    layer = SparseConv2d(Pattern.from_keys(keys, shape), size, window=window, stride=stride)
    data = rng.standard_normal(layer.nnz).astype(dtype)
    layer.bind(data, None, np.full(layer.nnz, np.nan, dtype), None)
    return layer, layer.weight.toarray().reshape(6, 5, window, window).astype(np.float64)


def as_planes(images):
    """Images (n, channels, height, width) as planes with a border of zeros."""
    bordered = np.pad(images, [(0, 0), (0, 0), (BORDER, BORDER), (BORDER, BORDER)])
    return np.ascontiguousarray(bordered.reshape(TILES, SAMPLES, *bordered.shape[1:]).transpose(0, 2, 3, 4, 1))


def as_images(planes):
    """The places within the border, as images."""
    inside = planes[:, :, BORDER:-BORDER, BORDER:-BORDER]
    return inside.transpose(0, 4, 1, 2, 3).reshape(TILES * SAMPLES, *inside.shape[1:4])


def as_phases(planes, layer):
    """Planes as a layer of stride 2 takes them."""
    return planes if layer.stride == 1 else reference.split_phases(planes)


def from_phases(phases, layer, like):
    """The planes whose phases these are."""
    return phases if layer.stride == 1 else reference.merge_phases(phases, like)


def threads_for(dtype):
    """One thread and two for float32; kernels of float64 take as long to compile again."""
    return (1, 2) if dtype == np.float32 else (1,)


def close_in(dtype):
    return {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("window", "stride"), CASES)
def test_forward(window, stride, size, dtype, rng):
    layer, w = layer_of(window, stride, size, dtype, rng)
    images = rng.standard_normal((TILES * SAMPLES, 5, *size)).astype(dtype)
    x, bias = as_phases(as_planes(images), layer), rng.standard_normal(6).astype(dtype)
    expected = reference.convolve(w, images.astype(float), stride) + bias[:, None, None]
    shape = (TILES, *layer.outputs(SAMPLES).shape)
    outs = []
    for n_threads in threads_for(dtype):
        out = np.full(shape, np.nan, dtype)
        with threads(n_threads):
            sums = layer.sums(x, out, bias=bias)
        outs.append(out.tobytes() + sums.tobytes())
    assert outs[0] == outs[-1]
    assert_allclose(as_images(out), expected, **close_in(dtype))
    assert_allclose(sums.sum(axis=0)[:, 0], expected.sum(axis=(0, 2, 3)), **close_in(dtype))
    assert_allclose(sums.sum(axis=0)[:, 1], (expected**2).sum(axis=(0, 2, 3)), **close_in(dtype))
    added = rng.standard_normal(shape).astype(dtype)
    layer.sums(x, out, data=2 * layer.data, bias=2 * bias, added=added, activates=True)
    assert_allclose(as_images(out), np.maximum(2 * expected + as_images(added), 0), **close_in(dtype))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("window", "stride"), CASES)
def test_backward(window, stride, size, dtype, rng):
    layer, w = layer_of(window, stride, size, dtype, rng)
    images = rng.standard_normal((TILES * SAMPLES, 5, *size)).astype(dtype)
    planes = as_planes(images)
    x = as_phases(planes, layer)
    outputs = layer.outputs(SAMPLES)
    errors = rng.standard_normal((TILES * SAMPLES, 6, outputs.height, outputs.width)).astype(dtype)
    gradient, expected = reference.convolve_backward(w, images.astype(float), errors.astype(float), stride)
    before = as_phases(as_planes(rng.standard_normal(images.shape).astype(dtype)), layer)
    for adds in (False, True):
        for masks in (False, True):
            outs = []
            for n_threads in threads_for(dtype):
                out = before.copy()
                products = np.full(TILES * 16 * layer.nnz, np.nan, dtype)
                with threads(n_threads):
                    layer.backward(as_planes(errors), x, out, products, adds=adds, masks=masks)
                outs.append(out.tobytes() + layer.data_gradient.tobytes())
            assert outs[0] == outs[-1]
            found = as_images(from_phases(out, layer, planes))
            wanted = expected + (as_images(from_phases(before, layer, planes)) if adds else 0)
            assert_allclose(found, np.where(images > 0, wanted, 0) if masks else wanted, **close_in(dtype))
            stored = gradient.reshape(6, -1)[layer.pattern.rows, layer.pattern.indices]
            assert_allclose(layer.data_gradient, stored, **close_in(dtype))


def test_the_border_of_the_inputs_is_not_written(rng):
    layer, _ = layer_of(3, 1, (4, 4), np.float32, rng)
    out = np.full((TILES, *layer.inputs(SAMPLES).shape), 7, np.float32)
    x, delta = as_planes(rng.random((64, 5, 4, 4), np.float32)), as_planes(rng.random((64, 6, 4, 4), np.float32))
    layer.backward(delta, x, out, np.empty(TILES * 16 * layer.nnz, np.float32))
    inside = np.zeros(out.shape, bool)
    inside[:, :, BORDER:-BORDER, BORDER:-BORDER] = True
    assert (out[~inside] == 7).all()
    assert (out[inside] != 7).all()


def test_a_new_pattern_is_used(rng):
    layer, _ = layer_of(3, 1, (4, 4), np.float64, rng)
    x = as_planes(rng.random((64, 5, 4, 4)))
    out = np.zeros((TILES, *layer.outputs(SAMPLES).shape))
    layer.sums(x, out, bias=np.zeros(6))
    layer.pattern = Pattern.sample(layer.shape, 11, rng)
    layer.bind(rng.random(11), None, np.empty(11), None)
    layer.sums(x, out, bias=np.zeros(6))
    w = layer.weight.toarray().reshape(6, 5, 3, 3)
    assert_allclose(as_images(out), reference.convolve(w, as_images(x), 1))


def test_places_that_share_the_weights(rng):
    assert SparseConv2d(Pattern.sample((6, 45), 40, rng), (8, 5), stride=2).places == 4 * 3


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (45, {"window": 5}, r"window=5 must be one of \(1, 3\)"),
        (45, {"stride": 3}, r"stride=3 one of \(1, 2\)"),
        (44, {}, "no whole number of channels for window=3: the number of its columns must be a multiple of 9"),
    ],
)
def test_what_is_refused(columns, options, message, rng):
    with pytest.raises(ValueError, match=message):
        SparseConv2d(Pattern.sample((6, columns), 40, rng), (8, 8), **options)


def norm_of(channels, dtype, rng):
    norm = BatchNorm()
    scale, shift = rng.standard_normal((2, channels)).astype(dtype)
    views = np.zeros(channels, dtype), np.ones(channels, dtype), *np.full((2, channels), np.nan, dtype)
    norm.bind(scale, shift, *views)
    return norm


def errors_of(norm, delta, sums, z, statistics, planes):
    """The errors of z, as they come out of the kernel of a convolution that follows: here the identity."""
    n_channels = z.shape[1]
    identity = SparseConv2d(Pattern.from_keys(np.arange(n_channels) * (n_channels + 1), (n_channels, n_channels)),
                            z.shape[2:], window=1)  # fmt: skip
    identity.bind(np.ones(n_channels, z.dtype), None, np.empty(n_channels, z.dtype), None)
    outs = []
    for n_threads in threads_for(z.dtype):
        out, made = as_planes(np.zeros_like(z)), norm.backward(as_planes(delta), sums, as_planes(z), statistics, planes)
        room = np.zeros((n_threads, *planes.rolling), z.dtype)
        below = norm.room_for_totals(as_planes(z), statistics, planes)
        with threads(n_threads):
            identity.backward(
                room, as_planes(z), out, np.empty(TILES * 16 * n_channels, z.dtype), before=made, after=below,
                rolls=True,
            )  # fmt: skip
        outs.append(out.tobytes() + below[0].tobytes() + identity.data_gradient.tobytes())
    assert outs[0] == outs[-1]
    centred = z - statistics.mean[:, None, None]
    close = {"rtol": 1e-3, "atol": 1e-3} if z.dtype == np.float32 else close_in(z.dtype.type)
    assert_allclose(below[0].sum(axis=0)[:, 0], as_images(out).sum(axis=(0, 2, 3)), **close)
    assert_allclose(below[0].sum(axis=0)[:, 1], (as_images(out) * centred).sum(axis=(0, 2, 3)), **close)
    return as_images(out)


def rolling(planes, dtype, rng):
    """Room for three rows of the planes of two threads, which a batch before has left full."""
    room = np.zeros((2, *planes.rolling), dtype)
    room[:, :, :, BORDER:-BORDER] = rng.standard_normal(room[:, :, :, BORDER:-BORDER].shape)
    return room


@pytest.mark.parametrize("size", [(7, 8), (2, 5), (1, 8)])
@pytest.mark.parametrize("residual", ["none", "given", "made"])
def test_inputs_that_are_made_of_sums_first(residual, size, dtype, rng):
    """A convolution whose inputs are batch norm's outputs: row by row in one call, of three rows of room, or before."""
    layer, _ = layer_of(3, 1, size, dtype, rng)
    norm, z = norm_of(5, dtype, rng), rng.standard_normal((TILES * SAMPLES, 5, *size)).astype(dtype)
    norm.mean[:] = rng.standard_normal(5)
    planes, added = layer.inputs(SAMPLES), rng.standard_normal(z.shape).astype(dtype)
    factor, summand = rng.standard_normal((2, 5)).astype(dtype)
    given = {"residual": as_planes(added)} if residual != "none" else {}
    of_sums = norm.of_sums(
        as_planes(z), norm.constants(), planes, **given, affine=(factor, summand) if residual == "made" else None
    )
    expected, before, x, after = (as_planes(np.zeros((TILES * SAMPLES, n, *size), dtype)) for n in (5, 6, 5, 6))
    norm.forward(of_sums, expected, planes)
    terms = {"none": 0, "given": added, "made": added * factor[:, None, None] + summand[:, None, None]}
    scale, shift = norm.folded()
    assert_allclose(
        as_images(expected), reference.normalise(z, scale, shift, terms[residual], activates=True), **close_in(dtype)
    )
    sums = layer.sums(expected, before, bias=np.zeros(6, dtype))
    together = layer.sums(x, after, bias=np.zeros(6, dtype), before=of_sums)
    for one, other in ((expected, x), (before, after), (sums, together)):
        assert_array_equal(one, other)
    for n_threads in threads_for(dtype):
        again, room = np.zeros_like(after), rolling(planes, dtype, rng)
        with threads(n_threads):
            rolled = layer.sums(room, again, bias=np.zeros(6, dtype), before=of_sums, rolls=True)
        assert_array_equal(again, before)
        assert_array_equal(rolled, sums)


@pytest.mark.parametrize(("window", "stride"), CASES)
@pytest.mark.parametrize("size", [(7, 8), (2, 5), (1, 8)])
def test_errors_of_sums_of_which_three_rows_are_kept(size, window, stride, dtype, rng):
    layer, _ = layer_of(window, stride, size, dtype, rng)
    norm, outputs = norm_of(6, dtype, rng), layer.outputs(SAMPLES)
    d, z = (
        as_planes(rng.standard_normal((TILES * SAMPLES, 6, outputs.height, outputs.width)).astype(dtype))
        for _ in range(2)
    )
    statistics = norm.observe(np.array([[[300.0, 900.0]] * 6]), 100)
    sums = norm.error_totals(d, norm.room_for_totals(z, statistics, outputs), outputs)
    of_errors = norm.backward(d, sums, z, statistics, outputs)
    x = as_phases(as_planes(rng.standard_normal((TILES * SAMPLES, 5, *size)).astype(dtype)), layer)
    products, results = np.empty(TILES * 16 * layer.nnz, dtype), []
    for n_threads in threads_for(dtype):
        for rolls in (False, True):
            room, out = rolling(outputs, dtype, rng) if rolls else np.zeros_like(z), np.zeros_like(x)
            with threads(n_threads):
                layer.backward(room, x, out, products, before=of_errors, rolls=rolls)
            results.append(out.tobytes() + layer.data_gradient.tobytes())
    assert len(set(results)) == 1
    assert out.any()
    gradient = layer.data_gradient.copy()
    layer.backward(rolling(outputs, dtype, rng), x, None, products, before=of_errors, rolls=True)
    assert_array_equal(layer.data_gradient, gradient)


def test_the_backward_pass_makes_inputs_again(dtype, rng):
    layer, _ = layer_of(3, 1, (5, 7), dtype, rng)
    z, delta = (as_planes(rng.standard_normal((TILES * SAMPLES, n, 5, 7)).astype(dtype)) for n in (5, 6))
    norm, planes = norm_of(5, dtype, rng), layer.inputs(SAMPLES)
    norm.mean[:] = rng.standard_normal(5)
    x, products, results = np.zeros_like(z), np.empty(TILES * 16 * layer.nnz, dtype), []
    norm.forward(norm.of_sums(z, norm.constants(), planes), x, planes)
    for inputs, affine in ((x, None), (z, norm.folded())):
        out, below = np.zeros_like(z), norm.room_for_totals(z, norm.constants(), planes)
        layer.backward(delta, inputs, out, products, affine=affine, after=below, masks=True)
        results.append(out.tobytes() + layer.data_gradient.tobytes() + below[0].tobytes())
    assert results[0] == results[1]
    assert 0 < np.count_nonzero(out) < out.size / 2


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 1)])
def test_batch_norm(size, dtype, rng):
    norm = norm_of(6, dtype, rng)
    z = (3 * rng.standard_normal((TILES * SAMPLES, 6, *size)) + 1).astype(dtype)
    residual = rng.standard_normal(z.shape).astype(dtype)
    planes = SparseConv2d(Pattern.full((6, 54)), size).outputs(SAMPLES)
    sums = np.stack([z.sum(axis=(0, 3)), (z**2).sum(axis=(0, 3))], axis=-1).transpose(1, 0, 2)  # of each row of places
    n, axes = z.size // 6, (0, 2, 3)
    statistics = norm.observe(sums, n)
    assert_allclose(norm.mean, 0.1 * z.mean(axis=axes), **close_in(dtype))
    assert_allclose(norm.variance, 0.9 + 0.1 * z.var(axis=axes, ddof=1), **close_in(dtype))
    out = as_planes(np.zeros_like(z))
    of_sums = norm.of_sums(as_planes(z), statistics, planes, activates=True, residual=as_planes(residual))
    norm.forward(of_sums, out, planes)
    affine = reference.batch_norm(
        z.astype(float), norm.scale, norm.shift, z.mean(axis=axes, dtype=float), z.var(axis=axes, dtype=float), EPS
    )
    assert_allclose(as_images(out), np.maximum(affine + residual, 0), **close_in(dtype))

    delta = rng.standard_normal(z.shape).astype(dtype)
    sums = norm.error_totals(as_planes(delta), norm.room_for_totals(as_planes(z), statistics, planes), planes)
    loose = {"rtol": 1e-3, "atol": 1e-3} if dtype == np.float32 else close_in(dtype)
    assert_allclose(sums.sum(axis=0), reference.error_totals(delta, z, statistics.mean), **loose)
    out = errors_of(norm, delta, sums, z, statistics, planes)
    of_scale, of_shift, errors = reference.batch_norm_backward(delta.astype(float), z.astype(float), norm.scale, EPS)
    assert_allclose(out, errors, **close_in(dtype))
    loose = {"rtol": 1e-3, "atol": 1e-3} if dtype == np.float32 else close_in(dtype)
    assert_allclose(norm.scale_gradient, of_scale, **loose)
    assert_allclose(norm.shift_gradient, of_shift, **loose)


def test_running_averages_are_constants_in_prediction(dtype, rng):
    norm = norm_of(6, dtype, rng)
    norm.mean[:], norm.variance[:] = rng.standard_normal(6), rng.uniform(0.5, 2, 6)
    z, delta = rng.standard_normal((2, TILES * SAMPLES, 6, 4, 4)).astype(dtype)
    planes = SparseConv2d(Pattern.full((6, 54)), (4, 4)).outputs(SAMPLES)
    out = as_planes(np.zeros_like(z))
    norm.forward(norm.of_sums(as_planes(z), norm.constants(), planes, activates=False), out, planes)
    expected = reference.batch_norm(z, norm.scale, norm.shift, norm.mean, norm.variance, EPS)
    assert_allclose(as_images(out), expected, **close_in(dtype))
    factor, shift = norm.folded()
    assert_allclose(reference.normalise(z, factor, shift, activates=False), expected, **close_in(dtype))
    sums = norm.error_totals(as_planes(delta), norm.room_for_totals(as_planes(z), norm.constants(), planes), planes)
    errors = errors_of(norm, delta, sums, z, norm.constants(), planes)
    assert_allclose(errors, factor[:, None, None] * delta, **close_in(dtype))


def test_a_channel_that_never_varies(rng):
    norm = norm_of(2, np.float32, rng)
    statistics = norm.observe(np.array([[[300.0, 900.0], [0.0, 0.0]]]), 100)
    assert_array_equal(statistics.mean, [3, 0])
    assert_allclose(statistics.inverse, 1 / np.sqrt(EPS))


@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_phases(size, dtype, rng):
    planes = as_planes(rng.standard_normal((TILES * SAMPLES, 5, *size)).astype(dtype))
    shape = SparseConv2d(Pattern.full((6, 45)), size).inputs(SAMPLES)
    phases = np.zeros((TILES, *shape.phases.shape), dtype)
    shapes = shape.shape[1:3], shape.phases.shape[1:3]
    split_phases(planes.reshape(-1), phases.reshape(-1), TILES * 5, *shapes, width_of(SAMPLES))
    assert_array_equal(phases, reference.split_phases(planes))
    errors, out = rng.standard_normal(phases.shape).astype(dtype), np.zeros_like(planes)
    flat = (array.reshape(-1) for array in (errors, planes, out))
    merge_phases(*flat, TILES * 5, *shapes, width_of(SAMPLES))
    assert_array_equal(out, np.where(planes > 0, reference.merge_phases(errors, planes), 0))


def test_sums_of_the_gradient(dtype, rng):
    products, slots = rng.standard_normal((3, 7 * 16)).astype(dtype), rng.permutation(7)
    gradient = np.full(7, np.nan, dtype)
    gradient_of_products(products, slots, gradient)
    assert_allclose(gradient, reference.gradient_of_products(products, slots), **close_in(dtype))


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 1)])
def test_means_of_places(size, dtype, rng):
    planes = as_planes(rng.standard_normal((TILES * SAMPLES, 5, *size)).astype(dtype))
    means = np.zeros((TILES, 5, 3, 3, SAMPLES), dtype)
    rest = TILES * 5, planes.shape[2:4], dtype(1 / (size[0] * size[1])), width_of(SAMPLES)
    means_of_places(planes.reshape(-1), means.reshape(-1), *rest)
    assert_allclose(means[:, :, 1, 1], reference.means_of_places(planes), **close_in(dtype))
    assert np.count_nonzero(means) == means[:, :, 1, 1].size
    out = np.zeros_like(planes)
    errors_of_means(means.reshape(-1), planes.reshape(-1), out.reshape(-1), *rest)
    assert_allclose(out, reference.errors_of_means(means[:, :, 1, 1], planes), **close_in(dtype))
