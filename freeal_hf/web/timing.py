"""How long a run takes: the estimate before it starts, and the remaining time while it runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freeal_hf.config import LoopConfig
from freeal_hf.loop.progress import ANNOTATING, TRAINING

STARTING_SECONDS = 15.0
"""From the start of the process to the first label."""

REFINED_SHARE = 0.3
"""The usual share of the texts that a later round labels again."""

# Measured with all-MiniLM-L6-v2, batches of 32 texts of 20 words and two CPU cores.
_SECONDS_PER_STEP = 0.55
_WORDS_OF_A_TEXT = 20
_BETWEEN_SECONDS = 6.0  # between two phases: loading the encoder, embeddings, estimates, files


@dataclass(frozen=True)
class Plan:
    """The expected work of a run.

    Args:
        rounds (`int`): The number of rounds.
        texts (`int`): The number of different texts.
        steps (`int`): The training steps of each round.
        seconds_per_text (`float`), seconds_per_step (`float`): The expected speed.
    """

    rounds: int
    texts: int
    steps: int
    seconds_per_text: float
    seconds_per_step: float

    @property
    def seconds(self) -> float:
        """The expected time of the run."""
        return STARTING_SECONDS + sum(phase.left(self) for phase in phases([], self))


@dataclass(frozen=True)
class Phase:
    """The annotation or the training of a round.

    Args:
        round (`int`): The round.
        name (`str`): `ANNOTATING` or `TRAINING`.
        done (`int`), total (`int`): The number of finished and of all texts or steps.
        has_begun (`bool`): Whether the phase has begun; otherwise `total` is expected.
        speed (`float`, *optional*): The measured seconds for a text or step.
    """

    round: int
    name: str
    done: int
    total: int
    has_begun: bool
    speed: float | None = None

    def left(self, plan: Plan, speeds: Mapping[str, float] | None = None) -> float:
        """Returns the expected remaining seconds.

        Args:
            plan (`Plan`): The expected work.
            speeds (`Mapping[str, float]`, *optional*): The measured speed of earlier phases, by their name.
        """
        if self.has_begun and self.done >= self.total:
            return 0.0
        expected = plan.seconds_per_text if self.name == ANNOTATING else plan.seconds_per_step
        speed = self.speed or (speeds or {}).get(self.name) or expected
        return speed * (self.total - self.done) + (0.0 if self.has_begun else _BETWEEN_SECONDS)


def plan_of(
    texts: Sequence[str], rounds: int, training: Mapping[str, Any], *, seconds_per_text: float, slowness: float
) -> Plan:
    """Plans a run with the steps that the loop makes, see `LoopConfig.min_train_steps`.

    Args:
        texts (`Sequence[str]`): The different texts.
        rounds (`int`): The number of rounds.
        training (`Mapping`): The training options of the operator.
        seconds_per_text (`float`): The expected time of an annotation.
        slowness (`float`): The time of a training step, divided by that of all-MiniLM-L6-v2.
    """
    batch = int(training.get("per_device_train_batch_size", 32))
    steps = math.ceil(len(texts) / batch)
    epochs = training.get("num_train_epochs") or max(6, math.ceil(LoopConfig().min_train_steps / steps))
    words = sum(min(len(text.split()), 100) for text in texts) / len(texts)
    seconds = _SECONDS_PER_STEP * slowness * batch / 32 * max(0.5, words / _WORDS_OF_A_TEXT)
    return Plan(rounds, len(texts), math.ceil(steps * float(epochs)), seconds_per_text, seconds)


def phases(events: Sequence[Mapping[str, Any]], plan: Plan) -> list[Phase]:
    """Returns all phases of a run in their order, with the expected work of those that have not begun.

    Args:
        events (`Sequence[Mapping]`): The events of the progress file. If a run was continued, a phase has begun again.
        plan (`Plan`): The expected work.
    """
    found: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for event in events:
        if "done" in event:
            seen = found.setdefault((event["round"], event["phase"]), [])
            if seen and event["done"] < seen[-1]["done"]:  # another annotator, or the run was continued
                seen.clear()
            seen.append(event)
    steps = next((seen[-1]["total"] for (_, name), seen in found.items() if name == TRAINING), plan.steps)
    result = []
    for number in range(max([plan.rounds, *(number + 1 for number, _ in found)])):
        for name in (ANNOTATING, TRAINING):
            if seen := found.get((number, name), []):
                result.append(Phase(number, name, seen[-1]["done"], seen[-1]["total"], True, _speed(seen)))
            else:
                total = steps if name == TRAINING else math.ceil(plan.texts * (REFINED_SHARE if number else 1))
                result.append(Phase(number, name, 0, total, False))
    return result


def seconds_left(found: Sequence[Phase], plan: Plan) -> float:
    """Returns the expected remaining time of a run, from the measured speed if there is one.

    Args:
        found (`Sequence[Phase]`): The result of `phases`.
        plan (`Plan`): The expected work.
    """
    speeds = {phase.name: phase.speed for phase in found if phase.speed is not None}
    return sum(phase.left(plan, speeds) for phase in found)


def duration(seconds: float) -> str:
    """Returns a time as text.

    Example:

        >>> duration(44), duration(130)
        ('44 s', '2 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _speed(seen: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns the seconds for a text or step; `None` if it is not known yet."""
    timed = [event for event in seen if "time" in event]
    if len(timed) < 2 or timed[-1]["done"] == timed[0]["done"]:
        return None
    return float((timed[-1]["time"] - timed[0]["time"]) / (timed[-1]["done"] - timed[0]["done"]))
