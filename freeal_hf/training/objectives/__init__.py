"""Loss recipes of the student, one file each.

A recipe is an [`Objective`]: it says what each sample is taught after a selection, and what the loss of a batch is.
Name one by `FreeALConfig(objective=...)`, or pass an object of your own to [`FreeALTrainer`].
"""

from freeal_hf.errors import InputError
from freeal_hf.training.objectives.base import Batch, Evidence, Mixtures, Objective
from freeal_hf.training.objectives.cross_entropy import CrossEntropy
from freeal_hf.training.objectives.freeal import FreeALObjective
from freeal_hf.training.objectives.soft_targets import SoftTargets

__all__ = [
    "OBJECTIVES",
    "Batch",
    "CrossEntropy",
    "Evidence",
    "FreeALObjective",
    "Mixtures",
    "Objective",
    "SoftTargets",
    "objective_named",
]

OBJECTIVES: dict[str, type[Objective]] = {
    "soft_targets": SoftTargets,
    "freeal": FreeALObjective,
    "cross_entropy": CrossEntropy,
}


def objective_named(name: str) -> Objective:
    """Make the objective of a name.

    Args:
        name (`str`): A key of `OBJECTIVES`.

    Returns:
        `Objective`: The recipe.

    Raises:
        InputError: There is no recipe of that name.

    Example:

        >>> objective_named("cross_entropy").reads_second_view
        False
    """
    if name not in OBJECTIVES:
        raise InputError(
            f"objective is {name!r}; use one of {', '.join(OBJECTIVES)}, or pass an Objective of your own to "
            "FreeALTrainer(objective=...)."
        )
    return OBJECTIVES[name]()
