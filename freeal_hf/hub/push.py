"""Pushes the rounds of a run to the Hub, with one commit and one tag for each round in each repository."""

import hashlib
import json
import logging
import re
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import freeal_hf
from freeal_hf.cards import dataset_card, merge, student_card
from freeal_hf.config import HubConfig
from freeal_hf.data.files import read_json, write_json
from freeal_hf.errors import HubChanged, HubError
from freeal_hf.hub.client import calling, connect
from freeal_hf.hub.facts import draw_figures, round_facts
from freeal_hf.hub.files import dataset_files, own_columns, student_files
from freeal_hf.loop import folder as run_folder
from freeal_hf.loop.folder import RunFolder

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

MANIFEST = "freeal.json"
"""The file in each repository with the id of the run and the list of its files."""

HUB_STATE = "hub.json"
"""The file in the folder of a run with its repositories and the rounds that were pushed."""

TRAINING_ARGUMENTS = "training_arguments.json"
"""The file in the model repository with the training arguments. It replaces a pickle that has paths and tokens."""

_CARD = "README.md"
_NEW_REPO = {".gitattributes", _CARD}
# If others commit more often than this during a push, it fails with an error.
_LOOKS = 5


@dataclass(frozen=True)
class HubTarget:
    """The repositories of a run.

    Args:
        dataset_id (`str`): Dataset repository, with its namespace.
        model_id (`str`): Model repository, with its namespace.
        run_id (`str`): Id of the run in both repositories.
        private (`bool`): Whether new repositories are private.
        config (`HubConfig`): What is pushed, and how.
        token (`str`, *optional*): Access token. The default is the saved token of this machine.
    """

    dataset_id: str
    model_id: str
    run_id: str
    private: bool
    config: HubConfig
    token: str | None = None

    def __repr__(self) -> str:
        return f"HubTarget({self.dataset_id!r}, {self.model_id!r})"


@dataclass(frozen=True)
class _Repo:
    """A repository and its current content."""

    kind: str
    id: str
    head: str
    tags: Mapping[str, str]
    blobs: Mapping[str, str]
    manifest: Mapping[str, Any] | None

    @property
    def place(self) -> str:
        return f"{'Model' if self.kind == 'model' else 'Dataset'} repository {self.id}"


@dataclass(frozen=True)
class _Round:
    """A finished round, the digest that identifies it, and the folder of its figures, which are drawn once."""

    folder: RunFolder
    number: int
    digest: str
    target: HubTarget
    pictures: Path


def prepare_push(
    folder: RunFolder,
    config: HubConfig,
    *,
    model_id: str | None = None,
    private: bool = True,
    token: str | None = None,
) -> HubTarget:
    """Checks that the token can create and write both repositories, before the run spends money.

    Missing repositories are created. Nothing is committed.

    Args:
        folder (`RunFolder`): The folder of the run. The repositories are written to a file in it.
        config (`HubConfig`): What is pushed, and how.
        model_id (`str`, *optional*): Model repository. The default name is made from the name of the folder.
        private (`bool`): Whether new repositories are private.
        token (`str`, *optional*): Access token. The default is the saved token of this machine.

    Returns:
        `HubTarget`: The repositories.

    Raises:
        HubError: If there is no valid token, the token has no write access, or a repository has other content.
    """
    from huggingface_hub import CommitOperationAdd

    api = connect(token)
    user = calling("your account", api.whoami)["name"]
    state = _state(folder)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.path.resolve().name).strip("-.") or "freeal"
    target = HubTarget(
        dataset_id=_full_name(config.hub_dataset_id or state.get("dataset_id") or f"{name}-freeal", user),
        model_id=_full_name(model_id or state.get("model_id") or f"{name}-student", user),
        run_id=state.get("run_id") or uuid.uuid4().hex,
        private=private,
        config=config,
        token=token,
    )
    for kind, repo_id in (("dataset", target.dataset_id), ("model", target.model_id)):
        calling(repo_id, api.create_repo, repo_id, repo_type=kind, private=private, exist_ok=True)
        repo = _look(api, kind, repo_id)
        _refuse_foreign(repo, target)
        # This request for an upload mode needs write access.
        probe = CommitOperationAdd(MANIFEST, b"{}")
        calling(repo_id, api.preupload_lfs_files, repo_id, [probe], repo_type=kind)
    known = {"run_id": target.run_id, "dataset_id": target.dataset_id, "model_id": target.model_id}
    moved = any(state.get(key, value) != value for key, value in known.items())
    write_json(folder / HUB_STATE, {**known, "rounds": {} if moved else state.get("rounds", {})})
    return target


def push_rounds(folder: RunFolder, target: HubTarget) -> list[str]:
    """Pushes all finished rounds that are not on the Hub yet, and updates the collection.

    Args:
        folder (`RunFolder`): The folder of the run.
        target (`HubTarget`): The repositories that `prepare_push` returned.

    Returns:
        `list[str]`: Addresses of dataset and student, and of the collection if there is one.

    Raises:
        HubError: If a round cannot be pushed. The rounds before it are pushed, and the push can be repeated.

    Example:

        ```python
        folder = RunFolder("runs/reviews")
        target = prepare_push(folder, HubConfig(hub_dataset_id="ada/reviews"))
        push_rounds(folder, target)
        ```
    """
    from huggingface_hub import constants

    api = connect(target.token)
    number = 0
    while (record := folder.metrics(number)) is not None:
        with tempfile.TemporaryDirectory(prefix="freeal-hf-") as pictures:
            work = _Round(folder, number, _digest(record, target), target, Path(pictures))
            for kind, repo_id in (("dataset", target.dataset_id), ("model", target.model_id)):
                _push_round(api, kind, repo_id, work)
        number += 1
    if number == 0:
        raise HubError(f"{str(folder.path)!r} has no finished round to push; finish the run first.")
    pages = [f"{constants.ENDPOINT}/datasets/{target.dataset_id}", f"{constants.ENDPOINT}/{target.model_id}"]
    return [*pages, *_collect(api, target)]


def _push_round(api: "HfApi", kind: str, repo_id: str, work: _Round) -> None:
    target, number = work.target, work.number
    for _ in range(_LOOKS):
        repo = _look(api, kind, repo_id)
        _refuse_foreign(repo, target)
        pushed = dict(repo.manifest["rounds"]) if repo.manifest and _is_ours(repo, target) else {}
        if pushed.get(str(number)) == work.digest:
            break
        _refuse_changes(api, repo, pushed, work)
        if not work.folder.round(number).labels_path.is_file():
            raise HubError(
                f"Round {number} must be pushed again, but {str(work.folder.path)!r} only has its metrics; push from "
                "the folder in which the round was run."
            )
        try:
            rounds = {key: digest for key, digest in pushed.items() if int(key) < number}
            _commit_round(api, repo, {**rounds, str(number): work.digest}, work)
        except HubChanged:
            # The card was edited, or the response to our commit was lost.
            logger.info("%s has changed; reading it again", repo.place)
    else:
        raise HubError(
            f"{repo.place} changed {_LOOKS} times during the push of round {number}; nothing is overwritten."
        )
    if repo.manifest and repo.manifest["round"] == number:
        _tag(api, repo, number)
    known = _state(work.folder)
    known["rounds"] = {**known.get("rounds", {}), f"{kind} {number}": work.digest}
    write_json(work.folder / HUB_STATE, known)


def _commit_round(api: "HfApi", repo: _Repo, rounds: Mapping[str, str], work: _Round) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    target = work.target
    with tempfile.TemporaryDirectory(prefix="freeal-hf-") as temporary:
        files = _files(repo, work, Path(temporary), _read(api, repo, _CARD))
        manifest = {
            "made_by": f"freeal_hf {freeal_hf.__version__}",
            "run_id": target.run_id,
            "dataset_id": target.dataset_id,
            "model_id": target.model_id,
            "round": work.number,
            "rounds": rounds,
            "files": sorted(files),
        }
        content = json.dumps(manifest, indent=2).encode()
        ours = set(repo.manifest["files"]) if repo.manifest and _is_ours(repo, target) else set()
        operations = [
            CommitOperationAdd(MANIFEST, content),
            *(CommitOperationAdd(path, str(local)) for path, local in sorted(files.items())),
            *(CommitOperationDelete(path) for path in sorted(ours - set(files) - {_CARD}) if path in repo.blobs),
        ]
        calling(
            repo.id,
            api.create_commit,
            repo.id,
            operations,
            commit_message=f"Round {work.number}",
            repo_type=repo.kind,
            parent_commit=repo.head,
        )


def _files(repo: _Repo, work: _Round, staging: Path, readme: str | None) -> dict[str, Path]:
    folder, number, target = work.folder, work.number, work.target
    task, columns = folder.task(), own_columns(folder, number, target.config.push_columns)
    facts, config = round_facts(folder, number, task, target.dataset_id, target.model_id, columns)
    if repo.kind == "dataset":
        files = dataset_files(folder, number, task, columns, staging)
        config.to_yaml(staging / run_folder.CONFIG)
        files[run_folder.CONFIG] = staging / run_folder.CONFIG
        card = merge(readme, dataset_card(facts))
    else:
        files = student_files(folder, number, staging)
        write_json(staging / TRAINING_ARGUMENTS, dict(facts.arguments))
        files[TRAINING_ARGUMENTS] = staging / TRAINING_ARGUMENTS
        card = merge(readme, student_card(replace(facts, name=target.model_id.split("/")[-1])))
    (staging / _CARD).write_text(card, encoding="utf-8")
    return {**files, **draw_figures(folder, number, work.pictures), _CARD: staging / _CARD}


def _look(api: "HfApi", kind: str, repo_id: str) -> _Repo:
    refs = calling(repo_id, api.list_repo_refs, repo_id, repo_type=kind)
    head = next(branch.target_commit for branch in refs.branches if branch.name == "main")
    return _look_at(api, kind, repo_id, head, {tag.name: tag.target_commit for tag in refs.tags})


def _look_at(api: "HfApi", kind: str, repo_id: str, revision: str, tags: Mapping[str, str]) -> _Repo:
    """Returns a repository with its content at a revision as its head."""
    repo = _Repo(kind, repo_id, revision, tags, _blobs(api, kind, repo_id, revision), None)
    manifest = _read(api, repo, MANIFEST)
    return replace(repo, manifest=json.loads(manifest)) if manifest else repo


def _blobs(api: "HfApi", kind: str, repo_id: str, revision: str) -> dict[str, str]:
    def entries() -> list[Any]:
        return list(api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=kind))

    return {entry.path: entry.blob_id for entry in calling(repo_id, entries) if hasattr(entry, "blob_id")}


def _read(api: "HfApi", repo: _Repo, path: str) -> str | None:
    """Returns the content of a small file at the commit of `repo`."""
    if path not in repo.blobs:
        return None
    with tempfile.TemporaryDirectory(prefix="freeal-hf-") as temporary:
        place = calling(
            repo.id,
            api.hf_hub_download,
            repo.id,
            path,
            repo_type=repo.kind,
            revision=repo.head,
            local_dir=temporary,
        )
        return Path(place).read_text(encoding="utf-8")


def _is_ours(repo: _Repo, target: HubTarget) -> bool:
    return repo.manifest is not None and repo.manifest.get("run_id") == target.run_id


def _refuse_foreign(repo: _Repo, target: HubTarget) -> None:
    if _is_ours(repo, target) or target.config.hub_exist_ok:
        return
    remedy = (
        f"Choose another --hub-{'model' if repo.kind == 'model' else 'dataset'}-id, or pass --hub-exist-ok to push on "
        "top of it (its history is kept)."
    )
    if repo.manifest is not None:
        raise HubError(
            f"{repo.place} has another run of freeal-hf; nothing was pushed. Continue that run with "
            f"--resume-from {repo.manifest.get('dataset_id')}. {remedy}"
        )
    foreign = sorted(set(repo.blobs) - _NEW_REPO)
    if foreign:
        raise HubError(
            f"{repo.place} contains {foreign[0]!r}, which freeal-hf did not make; nothing was pushed. {remedy}"
        )


def _refuse_changes(api: "HfApi", repo: _Repo, pushed: Mapping[str, str], work: _Round) -> None:
    """Refuses to overwrite files of the run that others changed. Only the card is merged."""
    number = work.number
    if work.target.config.hub_exist_ok or repo.manifest is None:
        return
    remedy = "Nothing was overwritten. Pull the repository, or pass --hub-exist-ok to push on top of it."
    known = _state(work.folder).get("rounds", {}).get(f"{repo.kind} {number}")
    if str(number) in pushed and pushed[str(number)] != known:
        raise HubError(f"{repo.place} has another round {number} of this run, from another machine. {remedy}")
    made_at = repo.tags.get(f"round-{repo.manifest['round']}")
    if made_at in (None, repo.head):
        return
    before = _blobs(api, repo.kind, repo.id, str(made_at))
    changed = [path for path in repo.manifest["files"] if path != _CARD and before.get(path) != repo.blobs.get(path)]
    if changed:
        raise HubError(f"{repo.place}: {changed[0]!r} was changed by others since the previous round. {remedy}")


def _tag(api: "HfApi", repo: _Repo, number: int) -> None:
    name = f"round-{number}"
    tagged = repo.tags.get(name)
    if tagged is not None:
        if tagged == repo.head or _look_at(api, repo.kind, repo.id, tagged, {}).manifest == repo.manifest:
            return
        # The tag of a round that a spent budget had ended early, or of another run, is kept under another name.
        calling(
            repo.id,
            api.create_tag,
            repo.id,
            tag=f"{name}-until-{repo.head[:7]}",
            revision=tagged,
            repo_type=repo.kind,
            exist_ok=True,
        )
        calling(repo.id, api.delete_tag, repo.id, tag=name, repo_type=repo.kind)
    calling(repo.id, api.create_tag, repo.id, tag=name, revision=repo.head, repo_type=repo.kind, exist_ok=True)


def _collect(api: "HfApi", target: HubTarget) -> list[str]:
    title = target.config.hub_collection
    if not title:
        return []
    place = f"the collection {title!r}"
    collection = calling(
        place,
        api.create_collection,
        title,
        namespace=target.dataset_id.split("/")[0],
        private=target.private,
        exists_ok=True,
    )
    items = {"dataset": target.dataset_id, "model": target.model_id, "space": target.config.hub_space_id}
    for kind, item in items.items():
        if item:
            calling(place, api.add_collection_item, collection.slug, item, kind, exists_ok=True)
    return [collection.url]


def _digest(record: Mapping[str, Any], target: HubTarget) -> str:
    """Returns a hash that differs if the results of the round or the pushed columns differ."""
    text = json.dumps([record, sorted(target.config.push_columns)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _state(folder: RunFolder) -> dict[str, Any]:
    path = folder / HUB_STATE
    return read_json(path) if path.is_file() else {}


def _full_name(name: str, user: str) -> str:
    return name if "/" in name else f"{user}/{name}"
