"""Trains the tiny student and saves what it selected; started by `accelerate launch` with one process or several."""

import json
import os
import sys
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from freeal_hf.training.config import FreeALConfig
from freeal_hf.training.trainer import FreeALTrainer
from tests.training.tiny import make_labelled_texts, make_texts, sampling, tiny_student


def main(tokenizer_folder: str, output_dir: str, batch_size: int, count: int, kind: str, resume: str = "") -> None:
    """Train with a batch size per process, perhaps from a checkpoint, and save the selection.

    `kind` is `text` for one label for each text, and `pairs` for any number of labels.
    """
    args = FreeALConfig(
        output_dir=output_dir,
        num_train_epochs=3,
        warm_up_epochs=1,
        per_device_train_batch_size=batch_size,
        learning_rate=2e-3,
        bf16=False,  # the same on each machine
        mixup_alpha=0.0,  # pairs are drawn within a process
        use_cpu=True,
        ddp_backend="gloo" if "WORLD_SIZE" in os.environ else None,
        report_to="none",
        save_strategy="steps",
        save_steps=2,
        logging_steps=3,
        disable_tqdm=True,
        **sampling("group_by_length"),
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    texts = (make_texts if kind == "text" else make_labelled_texts)(count, flips=0.2, augmented=True)
    trainer = FreeALTrainer(tiny_student(), args, train_dataset=texts, processing_class=tokenizer)
    trainer.train(resume_from_checkpoint=resume or None)
    if trainer.is_world_process_zero():
        found = trainer.selection
        assert found is not None
        np.savez(f"{output_dir}/found.npz", is_clean=found.is_clean, losses=found.losses, embeddings=found.embeddings)
        Path(output_dir, "logs.json").write_text(json.dumps(trainer.state.log_history))
    # A process that leaves while gloo's threads still run is sometimes aborted, after all is done.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
