"""The callback that pushes the rounds of a run to the Hub."""

import logging
from collections.abc import Mapping
from typing import Any

from freeal_hf.config import HubConfig
from freeal_hf.errors import HubError
from freeal_hf.hub.push import HubTarget, prepare_push, push_rounds
from freeal_hf.loop.callbacks import LoopCallback, RunState
from freeal_hf.loop.folder import RunFolder

logger = logging.getLogger(__name__)


class PushToHubCallback(LoopCallback):
    """Pushes dataset and student to the Hub after each round.

    The Hub is checked before an annotator is asked. A push that fails does not end the run: it is tried again after
    the next round and at the end of the run.

    Args:
        config (`HubConfig`, *optional*): The settings of the push. Defaults to those of the run.
        model_id (`str`, *optional*): The model repository. Defaults to `FreeALConfig.hub_model_id`, and without it to
            the name of the run's folder.
        private (`bool`, *optional*): Whether new repositories are private. Defaults to
            `FreeALConfig.hub_private_repo`, and without it to `True`.
        token (`str`, *optional*): The access token. Defaults to `FreeALConfig.hub_token`, and without it to that of
            the machine.

    Raises:
        HubError: If the check or the push at the end of the run fails.

    Example:

        ```python
        FreeAL(task, annotator, callbacks=[PushToHubCallback(HubConfig(hub_dataset_id="ada/reviews"))]).run(data)
        ```
    """

    pushes_to_hub = True

    def __init__(
        self,
        config: HubConfig | None = None,
        *,
        model_id: str | None = None,
        private: bool | None = None,
        token: str | None = None,
    ) -> None:
        self._config, self._model_id, self._private, self._token = config, model_id, private, token
        self._target: HubTarget | None = None
        self._is_pushed = False

    def on_run_begin(self, run: RunState) -> None:
        """Checks that the token may write to both repositories; creates them if they do not exist."""
        private = run.args.hub_private_repo if self._private is None else self._private
        self._target = prepare_push(
            RunFolder(run.output_dir),
            self._config or run.hub,
            model_id=self._model_id or run.args.hub_model_id,
            private=private is not False,
            token=self._token or run.args.hub_token,
        )
        self._is_pushed = False

    def on_round_end(self, run: RunState, record: Mapping[str, Any]) -> None:
        """Pushes the round, and rounds before it that are not on the Hub yet."""
        try:
            self._push(run)
        except HubError as error:
            logger.warning("The push failed, and the run continues: %s", error)

    def on_run_end(self, run: RunState) -> None:
        """Pushes what is not on the Hub yet, also what an earlier process did not push before it ended."""
        if self._is_pushed:
            return
        try:
            self._push(run)
        except HubError as error:
            raise HubError(
                f"The run is complete in {str(run.output_dir)!r}, but not on the Hub: {error} "
                f"Repeat with: freeal-hf push {run.output_dir}"
            ) from error

    def _push(self, run: RunState) -> None:
        assert self._target is not None  # set by on_run_begin
        self._is_pushed = False
        push_rounds(RunFolder(run.output_dir), self._target)
        self._is_pushed = True
