"""The trial of an annotator on some texts, before all of them are paid for."""

from freeal_hf.annotators.base import Annotation, AnnotationRequest
from freeal_hf.annotators.prompts.registry import prompts_of
from freeal_hf.loop.callbacks import LoopCallback, RunState


class TrialOver(Exception):  # noqa: N818 - not an error
    """Raised to end a run after its trial. All answers are kept."""


class Trial(LoopCallback):
    """Prints the first labelled texts of round 0, which are a random sample, and ends the run.

    The run continues when it is started again without the trial, and no answer is paid for twice.

    Args:
        num_texts (`int`): The number of texts.
    """

    def __init__(self, num_texts: int) -> None:
        self.num_texts = num_texts

    def on_answer(self, run: RunState, round: int, request: AnnotationRequest, answer: Annotation) -> None:
        """See `LoopCallback`."""
        label = prompts_of(run.task).in_words(request, answer) if answer.is_labelled else f"({answer.reason})"
        print(f"{label}\t{request.text}", flush=True)

    def on_annotation_progress(self, run: RunState, round: int, done: int, total: int) -> None:
        """See `LoopCallback`."""
        if 0 < min(self.num_texts, total) <= done:
            raise TrialOver(
                f"{done} of {total:,} texts are labelled. Start again without the trial to label all of them."
            )
