"""Depth and width of residual networks, and the convolutions that these make."""

from dataclasses import dataclass
from typing import NamedTuple

from truesparse.runtime.checks import check_count

N_STAGES = 3


class ConvolutionShape(NamedTuple):
    """Shape (channels out, columns), input image, window and stride of a layer."""

    shape: tuple[int, int]
    image_shape: tuple[int, int]
    window: int = 3
    stride: int = 1


class Block(NamedTuple):
    """Numbers of the layers of a residual block; without projection the input is added as it is."""

    first: int
    second: int
    projection: int | None


@dataclass(frozen=True)
class Architecture:
    """Depth and width of a residual network for images of some shape.

    Parameters
    ----------
    image_shape : (height, width, channels)
    depth : int
        6 n + 2: three stages of n blocks, each of two convolutions, and the first and the last layer.
    width : int
        Channels of the first stage; the second has twice and the third four times as many.

    Raises
    ------
    ValueError
        If `depth` is no such number, `width` no positive integer, or the image has fewer than 4 rows or columns.
    """

    image_shape: tuple[int, int, int]
    depth: int
    width: int

    def __post_init__(self):
        check_count("width", self.width)
        if self.depth < 8 or (self.depth - 2) % (2 * N_STAGES):
            near = max(8, 6 * round((self.depth - 2) / 6) + 2)
            raise ValueError(f"depth={self.depth!r} must be 6 n + 2, such as 8, 14, 20, 32 or 44; {near} is nearest.")
        if min(self.image_shape[:2]) < 4:
            raise ValueError(
                f"image_shape={self.image_shape!r} must be (height, width, channels) with at least 4 rows and columns, "
                "since two of the stages halve them."
            )

    def shapes(self, n_outputs: int) -> list[tuple[int, int]]:
        """Return the shapes (channels out, columns) of the layers of a network with so many outputs."""
        return [convolution.shape for convolution in self.layers(n_outputs)[0]]

    def layers(self, n_outputs: int) -> tuple[list[ConvolutionShape], list[Block]]:
        """Return the layers in order, and the blocks that they form."""
        height, width, channels = self.image_shape
        size, layers, blocks = (height, width), [ConvolutionShape((self.width, 9 * channels), (height, width))], []
        channels = self.width
        for stage in range(N_STAGES):
            out = self.width * 2**stage
            for number in range((self.depth - 2) // (2 * N_STAGES)):
                stride = 2 if stage and not number else 1
                halved = (-(-size[0] // stride), -(-size[1] // stride))
                first = len(layers)
                layers += [
                    ConvolutionShape((out, 9 * channels), size, 3, stride),
                    ConvolutionShape((out, 9 * out), halved),
                ]
                if stride > 1:
                    layers.append(ConvolutionShape((out, channels), size, 1, stride))
                blocks.append(Block(first, first + 1, first + 2 if stride > 1 else None))
                size, channels = halved, out
        return [*layers, ConvolutionShape((n_outputs, channels), (1, 1), 1)], blocks
