"""Loss recipes of the student, one in each file.

A recipe is an [`Objective`]. It computes the target of each sample after a selection, and the loss of a batch. Select
a recipe by name with `FreeALConfig(objective=...)`, or pass an object to `FreeALTrainer(objective=...)`.
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
    """Creates an objective by name.

    Args:
        name (`str`): A key of `OBJECTIVES`.

    Returns:
        `Objective`: The loss recipe.

    Raises:
        InputError: If there is no recipe with this name.

    Example:

        >>> objective_named("cross_entropy").reads_second_view
        False
    """
    if name not in OBJECTIVES:
        raise InputError(
            f"objective is {name!r}; use one of {', '.join(OBJECTIVES)}, or pass your own Objective as "
            "FreeALTrainer(objective=...)."
        )
    return OBJECTIVES[name]()
