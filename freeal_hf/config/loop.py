"""The section `loop` of a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

from freeal_hf.config.annotators import BudgetConfig
from freeal_hf.config.options import check_values, option


@dataclass
class LoopConfig(BudgetConfig):
    """The loop of annotation and training.

    Args:
        num_rounds (`int`, *optional*, defaults to 2): The number of rounds.
        shots (`int`, *optional*, defaults to 10): The number of demonstrations for a text, at least one of each label.
        texts_per_list (`int`, *optional*): The number of similar texts with the same demonstrations. By default it is
            5 if the server read a part of the prompts of earlier rounds from its prompt cache or says that it has one,
            and otherwise 1.
        samples (`int`, *optional*, defaults to 1): The number of answers of a language model for each text, each with
            the labels in another order. The most frequent label is used, and its share of the answers is the
            confidence. See `freeal_hf.annotators.samples`.
        pool_size (`int`, *optional*, defaults to 100): The size of the demonstration pool.
        candidate_fraction (`float`, *optional*, defaults to 0.2): The share of the samples of a label, with the
            smallest losses, that can become demonstrations.
        generated_per_label (`int`, *optional*, defaults to 10): The number of texts for each label that the annotator
            writes for round 0.
        refine (`str`, *optional*, defaults to `"noisy"`): The texts that later rounds annotate again.
        stop_on (`str`, *optional*, defaults to `"never"`): The rule that ends the loop before `num_rounds`: almost no
            final label has changed, annotator and student do not agree more than before, or the estimated accuracy
            does not increase. See `freeal_hf.loop.stopping`.
        setting (`str`, *optional*, defaults to `"transductive"`): The texts on which the student is scored.
        min_train_steps (`int`, *optional*, defaults to 120): The minimum number of optimizer steps. If
            `num_train_epochs` is not given, a small corpus is used for more epochs.
        class_shares (`str` or `Mapping[str, float]`, *optional*): The known shares of the labels, as a mapping, as
            `a=0.7,b=0.3`, or as a YAML or JSON file. The final labels follow them in part. See
            `freeal_hf.labels.class_shares`.
        allow_doubtful_answers (`bool`, *optional*, defaults to `False`): Whether to train if the annotator gave almost
            all texts the same label, or if its answers look independent of the texts. Use it if this is right, such as
            for data with 99 % of one label. See `freeal_hf.labels.doubts`.
        audit (`int`, *optional*, defaults to 0): The number of texts that a person is to label. The run draws them at
            random after its first round and stops. Started again, it continues with the labels that are in
            `audit.csv`. 0 draws none.
        max_cost (`float`, *optional*): The maximum cost of the annotator in dollars, in all rounds together.
        max_tokens (`int`, *optional*): The maximum number of tokens of the annotator, in all rounds together.
        prices (`str`, *optional*): A YAML file `MODEL: {prompt: DOLLARS, completion: DOLLARS}`, for a million tokens.

    Raises:
        InputError: If a value is invalid.

    Example:

        >>> LoopConfig(num_rounds=0)
        Traceback (most recent call last):
        freeal_hf.errors.InputError: num_rounds is 0; it must be a whole number of at least 1.
    """

    num_rounds: int = option(2, help="number of annotation and training rounds", least=1, resumable=True)
    shots: int = option(10, help="demonstrations for each text, at least one per label", least=0)
    texts_per_list: int | None = option(
        help="number of similar texts with the same demonstrations",
        none="5 with a prompt cache, else 1",
        least=1,
        resumable=True,
    )
    samples: int = option(
        1,
        help="answers of an LLM for each text, with the labels in another order each time; all are paid for",
        least=1,
    )
    pool_size: int = option(100, help="size of the demonstration pool", least=0)
    candidate_fraction: float = option(
        0.2,
        help="share of the samples of each label, with the smallest losses, that can become demonstrations",
        above=0,
        most=1,
    )
    generated_per_label: int = option(
        10, help="number of texts for each label that an LLM writes as demonstrations of round 0 (0: none)", least=0
    )
    refine: str = option(
        "noisy",
        help="texts that later rounds annotate again (noisy includes unlabelled ones)",
        choices=("noisy", "all", "none"),
    )
    stop_on: str = option(
        "never",
        help="rule that ends the loop early; no rule uses gold",
        choices=("never", "label_changes", "agreement", "estimated_accuracy"),
        resumable=True,
    )
    setting: str = option(
        "transductive",
        help="score the student on the training texts or on test data",
        choices=("transductive", "inductive"),
    )

    min_train_steps: int = option(
        120, help="minimum number of optimizer steps of a training, unless num_train_epochs is given", least=0
    )
    audit: int = option(
        0,
        help="stop after the first round, for a person to label N random texts",
        metavar="N",
        least=0,
        resumable=True,
    )
    class_shares: str | Mapping[str, float] | None = option(
        help="known label shares: a=0.7,b=0.3, or a file",
        metavar="SHARES",
        local=True,
        resumable=True,
    )
    allow_doubtful_answers: bool = option(
        False,
        help="train on answers of one label, or that look random",
        resumable=True,
    )

    def __post_init__(self) -> None:
        check_values(self)
