from truesparse.network.workspace import BatchShape


def test_shapes_of_batches():
    for batch, n_tiles, n_lanes in ((1, 1, 16), (100, 1, 112), (128, 1, 128), (129, 2, 112), (1000, 8, 128)):
        shape = BatchShape.of(batch)
        assert (shape.n_tiles, shape.n_lanes) == (n_tiles, n_lanes)
        assert n_tiles * n_lanes <= shape.stride <= n_tiles * n_lanes + 16
        assert shape.stride // 16 % 2 == 1
