"""Converts the values of cells to plain Python objects, independent of their source."""

import datetime
import json
import uuid
from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any

import numpy as np

_MISSING = {"NAType", "NaTType"}  # of pandas, by name: pandas need not be imported for a CSV file
_KEPT = (Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)
_TENSORS = {"torch", "jax", "jaxlib", "tensorflow"}


def normal_cell(value: Any) -> Any:
    """Converts the value of a cell to a plain Python object.

    Args:
        value (`Any`): A Python, NumPy, pandas or Arrow value.

    Returns:
        `Any`: `None` if the value is missing (`None`, NaN, `pd.NA`, NaT); a string that can be encoded (lone
        surrogates are replaced by U+FFFD; bytes that are UTF-8 are decoded); a bool, an int, a float, a Decimal, a
        date, a time or a UUID; or a list or dict of such values. All other objects are converted to a string.

    Example:

        >>> normal_cell(float("nan")), normal_cell(b"text"), normal_cell([1, None])
        (None, 'text', [1, None])
    """
    if type(value) is str:
        return value if value.isascii() else _encodable(value)
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, np.generic):
        return _of_numpy(value)
    if isinstance(value, (float, Decimal)):
        return None if value != value else value
    if isinstance(value, str):
        return _encodable(str.__str__(value))
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _decoded(bytes(value))
    if isinstance(value, Mapping):
        return {str(normal_cell(name)): normal_cell(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, Set)):
        return [normal_cell(item) for item in value]
    if isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] in _TENSORS:
        return normal_cell(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, _KEPT):
        return value
    return _of_table_library(value)


def cell_text(value: Any) -> str:
    """Converts the value of a cell to a string: empty if it is missing, JSON for lists and dicts.

    Args:
        value (`Any`): A Python, NumPy, pandas or Arrow value.

    Returns:
        `str`: The string.

    Example:

        >>> cell_text(["a", None]), cell_text(1.5), cell_text(float("nan"))
        ('["a", null]', '1.5', '')
    """
    value = normal_cell(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


def plain_text(value: Any) -> str:
    """Converts a value of `normal_cell` to a string: empty if it is missing.

    Args:
        value (`Any`): The value.

    Returns:
        `str`: The string.

    Example:

        >>> plain_text(None), plain_text(2)
        ('', '2')
    """
    return "" if value is None else str(value)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # A pair of surrogates is replaced by its character.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _of_numpy(value: "np.generic[Any]") -> Any:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return None if np.isnat(value) else str(value)
    return normal_cell(value.item())


def _of_table_library(value: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    if isinstance(value, pa.Scalar):
        return normal_cell(value.as_py())
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return normal_cell(value.to_pylist())
    if isinstance(value, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        return normal_cell(list(value))
    return _encodable(str(value))
