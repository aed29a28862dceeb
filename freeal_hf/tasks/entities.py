"""The task with entities in each text, and their BIO tags."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from freeal_hf.errors import InputError
from freeal_hf.tasks.base import NO_LABEL, Task

if TYPE_CHECKING:
    from typing_extensions import Self

OUTSIDE = "O"
"""The tag of a word outside of entities."""


def bio_tags(types: Iterable[str]) -> list[str]:
    """Returns the BIO tags of entity types in the order of their ids: `O`, then `B-` and `I-` of each type.

    Args:
        types (`Iterable[str]`): The entity types.

    Returns:
        `list[str]`: The tags.

    Example:

        >>> bio_tags(["person"])
        ['O', 'B-person', 'I-person']
    """
    return [OUTSIDE, *(f"{mark}-{name}" for name in types for mark in "BI")]


class TokenClassification(Task):
    """A task that finds entities of given types: each word gets a BIO tag.

    Args:
        labels (`Sequence[str]` or `Mapping[str, str]`): The entity types in the order of their ids, or a mapping of
            type to description. See [`Task`].
        description (`str`, *optional*, defaults to `""`): The entities to find, as you would tell a person.
        label_map (`Mapping[str, str]`, *optional*): Other values of label columns, and the type for each.

    Raises:
        InputError: If there is no type, or if types are empty, not strings, repeated, or differ only in case or white
            space.

    Example:

        >>> TokenClassification({"PER": "a person", "LOC": "a place"}, "Named entities in news.").tags
        ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC']
    """

    type = "token-classification"
    fewest_labels = 1

    @property
    def tags(self) -> list[str]:
        """The classes of the student: `O`, then `B-` and `I-` of each type."""
        return bio_tags(self.descriptions)

    def with_label_map(self, label_map: Mapping[str, str]) -> "Self":
        """Refuses a label map, because columns have tags.

        Raises:
            InputError: Always.
        """
        raise InputError("An entity task cannot use --label-map, because its columns have BIO tags. Leave it out.")

    @property
    def shot_labels(self) -> list[int]:
        """-1 and all types. The last demonstrations of a prompt have the largest effect, and have entities."""
        return [NO_LABEL, *super().shot_labels]
