"""The task with one label for each text."""

from freeal_hf.tasks.base import Task


class TextClassification(Task):
    """A task that gives each text one of several labels.

    Args:
        labels (`Sequence[str]` or `Mapping[str, str]`): The label names in the order of their ids, or a mapping of
            label name to description. See [`Task`].
        description (`str`, *optional*, defaults to `""`): The question about a text, as you would ask a person.
        label_map (`Mapping[str, str]`, *optional*): Other values of label columns, and the label name for each.

    Raises:
        InputError: If there are fewer than two labels, or if names are empty, not strings, repeated, or differ only in
            case or white space.

    Example:

        >>> TextClassification({"positive": "the reviewer liked it", "negative": "the reviewer did not"}).label_names
        ['positive', 'negative']
    """

    type = "text-classification"
    fewest_labels = 2
