"""The section `hub` of a configuration, and the arguments of `FreeALConfig` about the Hub."""

from dataclasses import dataclass

from freeal_hf.config.options import option


@dataclass
class HubConfig:
    """The push to the Hub, together with `push_to_hub`, `hub_model_id` and `hub_private_repo` of `FreeALConfig`.

    Args:
        hub_dataset_id (`str`, *optional*): The dataset repository. By default it has the name of the folder of the
            run.
        hub_collection (`str`, *optional*): The title of a collection for dataset, student and Space.
        hub_space_id (`str`, *optional*): The Space to add to the collection.
        hub_exist_ok (`bool`, *optional*, defaults to `False`): Whether to push to repositories that another run has
            made or others have changed. Their history is kept.
        push_columns (`list[str]`, *optional*): The columns of your data to push: `gold`, and columns that an annotator
            has read. Other columns are never pushed.

    Example:

        >>> HubConfig(push_columns="gold, source").push_columns
        ['gold', 'source']
    """

    hub_dataset_id: str | None = option(
        help="dataset repository", none="USER/FOLDER-freeal", metavar="ID", local=True, resumable=True
    )
    hub_collection: str | None = option(
        help="title of a collection for dataset, student and Space", metavar="TITLE", local=True, resumable=True
    )
    hub_space_id: str | None = option(help="Space to add to the collection", metavar="ID", local=True, resumable=True)
    hub_exist_ok: bool = option(
        False,
        help="push also to repositories of other runs or people",
        local=True,
        resumable=True,
    )
    push_columns: list[str] = option(
        [], help="columns of the data to push, such as gold", metavar="A,B,...", local=True, resumable=True
    )

    def __post_init__(self) -> None:
        if isinstance(self.push_columns, str):  # as on the command line
            self.push_columns = [name.strip() for name in self.push_columns.split(",")]
        self.push_columns = self.push_columns or []


@dataclass
class RepositoryConfig:
    """Where a student is pushed. These are arguments of `FreeALConfig`, too.

    Args:
        hub_model_id (`str`, *optional*): Model repository; by default named after the run's folder.
        hub_private_repo (`bool`, *optional*): Whether new repositories are private, as they are by default.
    """

    hub_model_id: str | None = option(
        help="model repository", none="USER/FOLDER-student", metavar="ID", local=True, resumable=True
    )
    hub_private_repo: bool | None = option(
        help="make new repositories public",
        none="private",
        flag="--hub-public",
        action="store_false",
        local=True,
        resumable=True,
    )


@dataclass
class PushConfig(RepositoryConfig):
    """Whether a run is pushed. This is an argument of `FreeALConfig`, too.

    Args:
        push_to_hub (`bool`, *optional*, defaults to `False`): Whether dataset and student are pushed in every round.
    """

    push_to_hub: bool = option(
        False, help="push dataset and student after every round", action="store_true", local=True, resumable=True
    )
