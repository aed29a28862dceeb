"""A run that was stopped and resumed ends as if it had never been stopped."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from freeal_hf.training.checkpoints import SELECTION_FILE
from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import make_texts, sampling, tiny_student

Configure = Callable[..., FreeALConfig]
STEPS_IN_EPOCH = 6


def make_trainer(tokenizer: PreTrainedTokenizerFast, args: FreeALConfig, count: int = 48) -> FreeALTrainer:
    texts = make_texts(count, flips=0.2, augmented=True)
    return FreeALTrainer(tiny_student(dropout=0.1), args, train_dataset=texts, processing_class=tokenizer)


def assert_same(first: FreeALTrainer, second: FreeALTrainer) -> None:
    for name, weight in first.model.state_dict().items():
        assert (weight == second.model.state_dict()[name]).all(), name
    assert first.selection is not None and second.selection is not None
    assert (first.selection.is_clean == second.selection.is_clean).all()
    assert np.array_equal(first.selection.losses, second.selection.losses)


@pytest.mark.parametrize("strategy", ["random", "group_by_length"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_resuming_from_any_checkpoint_ends_with_the_same_weights(
    tokenizer: PreTrainedTokenizerFast, configure: Configure, strategy: str, accumulation: int
) -> None:
    args = configure(
        save_strategy="steps", save_steps=1, gradient_accumulation_steps=accumulation, **sampling(strategy)
    )
    whole = make_trainer(tokenizer, args)
    whole.train()
    last = whole.state.global_step
    within_first, end_of_first, within_second = 1, STEPS_IN_EPOCH // accumulation, STEPS_IN_EPOCH // accumulation + 2
    for step in (within_first, end_of_first, within_second, last):
        resumed = make_trainer(tokenizer, args)
        resumed.train(resume_from_checkpoint=f"{args.output_dir}/checkpoint-{step}")
        assert_same(whole, resumed)


def test_resuming_from_the_end_of_an_epoch_ends_with_the_same_weights(
    tokenizer: PreTrainedTokenizerFast, configure: Configure
) -> None:
    args = configure(save_strategy="epoch")
    whole = make_trainer(tokenizer, args)
    whole.train()
    resumed = make_trainer(tokenizer, args)
    resumed.train(resume_from_checkpoint=f"{args.output_dir}/checkpoint-{2 * STEPS_IN_EPOCH}")
    assert_same(whole, resumed)


def test_true_resumes_from_the_last_complete_checkpoint(
    tokenizer: PreTrainedTokenizerFast, configure: Configure
) -> None:
    args = configure(save_strategy="epoch")
    whole = make_trainer(tokenizer, args)
    whole.train()
    # What a kill leaves behind: one checkpoint without its last file, one with half of it.
    (Path(str(args.output_dir)) / "checkpoint-18" / "trainer_state.json").unlink()
    cut = Path(str(args.output_dir)) / "checkpoint-12" / "trainer_state.json"
    cut.write_text(cut.read_text()[:40])
    resumed = make_trainer(tokenizer, args)
    resumed.train(resume_from_checkpoint=True)
    assert_same(whole, resumed)


def test_nothing_to_resume_from_is_said(tokenizer: PreTrainedTokenizerFast, configure: Configure) -> None:
    with pytest.raises(FileNotFoundError, match="without resume_from_checkpoint"):
        make_trainer(tokenizer, configure()).train(resume_from_checkpoint=True)


def test_a_checkpoint_of_other_data_is_refused(tokenizer: PreTrainedTokenizerFast, configure: Configure) -> None:
    args = configure(save_strategy="epoch")
    make_trainer(tokenizer, args).train()
    with pytest.raises(ValueError, match="48 training samples, not 24"):
        make_trainer(tokenizer, args, count=24).train(resume_from_checkpoint=True)


def test_the_selection_is_saved_without_pickle(tokenizer: PreTrainedTokenizerFast, configure: Configure) -> None:
    args = configure(save_strategy="epoch")
    make_trainer(tokenizer, args).train()
    file = next(Path(str(args.output_dir)).glob(f"checkpoint-18/{SELECTION_FILE}"))
    with np.load(file, allow_pickle=False) as saved:
        assert saved["losses"].shape == (48,)
        assert saved["average"].shape == (48, 3)
    shutil.rmtree(str(args.output_dir))
