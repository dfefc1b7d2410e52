"""Text for a file, and checked reading of what a file holds: each part is taken once, and none may be left over."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.storage.archive import ModelFormatError


def text_array(what: str, values: Sequence[str]) -> np.ndarray:
    """Return text for a file, (n,); ModelFormatError if one of the values would not come back."""
    array = np.array(values, dtype=str)
    for value, held in zip(values, array.tolist(), strict=True):
        if value != held or value != value.encode(errors="ignore").decode():
            raise ModelFormatError(
                f"{what} cannot be stored: {value!r:.200} ends with NUL, which NumPy drops, or holds a lone surrogate, "
                "which is no text."
            )
    return array


class Section:
    """A part of the metadata: a dict, as JSON gave it, and a name for messages."""

    def __init__(self, content: Any, name: str):
        if not isinstance(content, dict):
            raise ModelFormatError(f"{name} must hold keys and values, got {content!r:.100}.")
        self._left, self._name = dict(content), name

    def take(self, key: str, *types: type) -> Any:
        """Take the value of a key, which must be of one of these types exactly: True is no int."""
        if key not in self._left:
            raise ModelFormatError(f"{self._name} has no {key!r}.")
        value = self._left.pop(key)
        if type(value) not in types:
            allowed = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
            raise ModelFormatError(f"{self._name}: {key}={value!r:.100} must be {allowed}.")
        return value

    def count(self, key: str, *, least: int = 0, most: int = 2**63 - 1) -> int:
        """Take an integer in [least, most]."""
        value = self.take(key, int)
        if not least <= value <= most:
            raise ModelFormatError(f"{self._name}: {key} must lie between {least} and {most}.")
        return value

    def counts(self, key: str, length: int, *, least: int = 0) -> list[int]:
        """Take a list of so many integers of at most 63 bits, none below `least`."""
        values = self.take(key, list)
        if len(values) != length or not all(type(n) is int and least <= n < 2**63 for n in values):
            raise ModelFormatError(
                f"{self._name}: {key}={values!r:.100} must hold {length} integers between {least} and {2**63 - 1}."
            )
        return values

    def number(self, key: str) -> float:
        """Take a float; infinity and NaN are text."""
        value = self.take(key, float, int, str)
        if isinstance(value, str) and value not in ("inf", "-inf", "nan"):
            raise ModelFormatError(f"{key}={value!r:.100} is not a number.")
        try:
            return float(value)
        except OverflowError as error:
            raise ModelFormatError(f"{key} is an integer that no float can hold.") from error

    def section(self, key: str) -> "Section":
        """Take a part of this part."""
        return Section(self.take(key, dict), f"{self._name}: {key}")

    def is_null(self, key: str) -> bool:
        """Return whether the value of a key is null; if so, take it."""
        if self._left.get(key, ...) is not None:
            return False
        del self._left[key]
        return True

    def has(self, key: str) -> bool:
        """Return whether there is such a key."""
        return key in self._left

    def close(self) -> None:
        """Refuse keys that are left: they mean something that this version does not know."""
        if self._left:
            raise ModelFormatError(f"{self._name} has unknown keys: {sorted(self._left)!r:.200}.")


class Arrays:
    """The arrays of a file."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self._left = dict(arrays)

    def take(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Take an array with a dtype of these kinds and this shape, where None stands for any length."""
        if name not in self._left:
            raise ModelFormatError(f"The array {name!r} is missing.")
        array = self._left.pop(name)
        fits = array.ndim == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        )
        if array.dtype.kind not in kinds or not fits:
            raise ModelFormatError(
                f"The array {name!r} has dtype {array.dtype} and shape {array.shape}; kind {kinds!r} and {shape} are "
                "allowed."
            )
        return array

    def numbers(self, name: str, dtype: np.dtype, shape: tuple[int | None, ...]) -> FloatArray:
        """Take finite floats of exactly this dtype."""
        array = self.take(name, "f", shape)
        if array.dtype != dtype:
            raise ModelFormatError(f"The array {name!r} has dtype {array.dtype}, not {dtype}.")
        if not np.isfinite(array).all():
            raise ModelFormatError(f"The array {name!r} holds NaN or infinity.")
        return array

    def index(self, name: str, length: int | None) -> IndexArray:
        """Take integers of 32 or 64 bits."""
        array = self.take(name, "i", (length,))
        if array.dtype.itemsize < 4:
            raise ModelFormatError(f"The array {name!r} has dtype {array.dtype}; int32 and int64 are allowed.")
        return array

    def has(self, name: str) -> bool:
        """Return whether there is such an array."""
        return name in self._left

    def close(self) -> None:
        """Refuse arrays that are left."""
        if self._left:
            raise ModelFormatError(f"The file has unknown arrays: {sorted(self._left)!r:.200}.")
