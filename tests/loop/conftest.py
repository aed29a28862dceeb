"""What several tests of the loop share."""

import pytest

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from tests.conftest import QUICK_TRAINING


@pytest.fixture
def loop(task, student_folder, tmp_path):
    """Makes a loop of one round, without generated demonstrations unless an option says otherwise."""

    def loop(annotator, *, refine_annotator=None, task=task, **options):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        config = LoopConfig(**{"num_rounds": 1, "generated_per_label": 0, **options})
        return FreeAL(task, annotator, str(student_folder), args, config, refine_annotator=refine_annotator)

    return loop
