"""Known shares of the labels: reads them, adjusts final labels to them, and bounds the accuracy with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax

from freeal_hf.errors import InputError

# Half of the correction to the share of a label is made if the label has so many texts.
_HALF = 20.0
_STEPS = 50
_ROUNDING = 0.01
_SUFFIXES = (".yaml", ".yml", ".json")
_REMEDY = "Give the share of each label, such as a=0.7,b=0.3; they sum to 1."
_REMEDY_SETS = "Give the share of the texts that have each label, such as a=0.05,b=0.3."


def read_class_shares(
    given: str | Mapping[str, Any], label_names: Sequence[str], *, has_label_sets: bool = False
) -> np.ndarray:
    """Reads the shares of the labels that the user knows.

    Args:
        given (`str` or `Mapping`):
            The share of each label, as a mapping, as `a=0.7,b=0.3`, or as the path of a YAML or JSON file.
        label_names (`Sequence[str]`): The labels.
        has_label_sets (`bool`, *optional*, defaults to `False`): Whether a text can have any number of labels. The
            share of a label is then that of the texts that have it, and the shares need not sum to one.

    Returns:
        `np.ndarray` of shape `(num_labels,)`: The shares.

    Raises:
        InputError: If a label is missing or unknown, or the shares are not numbers that sum to one.

    Example:

        >>> read_class_shares("bad=0.25, good=0.75", ["good", "bad"]).tolist()
        [0.75, 0.25]
        >>> read_class_shares("toxic=0.1, threat=0.05", ["toxic", "threat"], has_label_sets=True).tolist()
        [0.1, 0.05]
    """
    remedy = _REMEDY_SETS if has_label_sets else _REMEDY
    place, found = "class_shares", given
    if isinstance(given, str):
        is_file = given.lower().endswith(_SUFFIXES)
        place = f"The file {given!r} of class_shares" if is_file else "class_shares"
        found = _from_file(Path(given)) if is_file else _from_text(given, remedy)
    if not isinstance(found, Mapping):
        raise InputError(f"{place} is {found!r}, not a mapping of labels to shares. {remedy}")
    shares = {str(name): share for name, share in found.items()}
    if unknown := [name for name in shares if name not in label_names]:
        raise InputError(f"{place} names {unknown[0]!r}, which is no label; there are {', '.join(label_names)}.")
    if missing := [name for name in label_names if name not in shares]:
        raise InputError(f"{place} has no share of {missing[0]!r}. {remedy}")
    values = []
    for name in label_names:
        try:
            value = float(shares[name])
        except (TypeError, ValueError):
            value = np.nan
        if not 0 <= value <= 1:
            raise InputError(f"{place} gives {name!r} the share {shares[name]!r}; it must be from 0 to 1. {remedy}")
        values.append(value)
    if has_label_sets:
        return np.array(values)
    if abs(sum(values) - 1) > _ROUNDING:
        raise InputError(f"{place} sums to {sum(values):g}. {_REMEDY}")
    return np.array(values) / sum(values)


def _from_text(text: str, remedy: str) -> dict[str, str]:
    parts = [part.rpartition("=") for part in text.split(",") if part.strip()]
    if wrong := [value for name, _, value in parts if not name.strip()]:
        raise InputError(f"class_shares has {wrong[0]!r} without a label or a share in {text!r}. {remedy}")
    return {name.strip(): value.strip() for name, _, value in parts}


def _from_file(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"class_shares names the file {str(path)!r}, which cannot be read: {error}") from error


def shares_bias(scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Computes what to add to the log probabilities of each label so that final labels follow known shares.

    The full correction makes the mean probabilities match the shares. Only a part of it is added, because the share of
    a label with few texts is uncertain, and with a hundred labels the full correction makes nearly all labels wrong.

    Source: prior matching (Liusie et al., arXiv 2309.04992), shrunk.

    Args:
        scores (`np.ndarray` of shape `(n, num_labels)`): Log probabilities.
        shares (`np.ndarray` of shape `(num_labels,)`): The shares; they sum to one.

    Returns:
        `np.ndarray` of shape `(num_labels,)`: The values to add to each row.

    Example:

        >>> scores = np.log([[0.6, 0.4]] * 100)
        >>> (scores + shares_bias(scores, np.array([0.1, 0.9]))).argmax(axis=1).mean()
        np.float64(1.0)
    """
    bias = np.zeros(len(shares))
    for _ in range(_STEPS):
        mean = np.exp(log_softmax(scores + bias, axis=1)).mean(axis=0)
        bias += 0.5 * (np.log(shares + 1e-6) - np.log(mean + 1e-6))
        bias -= bias.mean()
    texts = len(scores) * shares
    found: np.ndarray = bias * texts / (texts + _HALF)
    return found


def most_right(labels: np.ndarray, shares: np.ndarray) -> float:
    """Computes the largest share of labels that can be right if the true labels have the given shares.

    It is one minus the total variation distance. The true accuracy may be far below it.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids; none below 0.
        shares (`np.ndarray` of shape `(num_labels,)`): The shares of the true labels.

    Example:

        >>> round(most_right(np.array([0, 0, 0, 1]), np.array([0.5, 0.5])), 2)
        0.75
    """
    found = np.bincount(labels, minlength=len(shares)) / len(labels)
    return float(np.minimum(found, shares).sum())
