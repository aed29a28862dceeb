"""What several tests of the loop share."""

from dataclasses import replace

import pytest

from freeal_hf import FreeAL, FreeALConfig, LoopConfig
from tests.conftest import QUICK_TRAINING, KeywordAnnotator


class LessAndLessConfident(KeywordAnnotator):
    """Changes its answers in each round, so that each student is trained."""

    async def annotate(self, task, requests):
        found = await super().annotate(task, requests)
        return [replace(one, confidence=1 / (1 + len(self.asked))) for one in found]


@pytest.fixture
def loop(task, student_folder, tmp_path):
    """Makes a loop of one round, without generated demonstrations unless an option says otherwise."""

    def loop(annotator, *, refine_annotator=None, task=task, **options):
        args = FreeALConfig(output_dir=str(tmp_path / "run"), **QUICK_TRAINING)
        config = LoopConfig(**{"num_rounds": 1, "generated_per_label": 0, **options})
        return FreeAL(task, annotator, str(student_folder), args, config, refine_annotator=refine_annotator)

    return loop
