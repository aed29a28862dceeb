"""A run that takes its time annotating: `python -m tests.slow_run FOLDER STUDENT DATA`; the test kills it."""

import asyncio
import sys
from collections.abc import Sequence

from freeal_hf import Annotation, AnnotationRequest, FreeAL, FreeALConfig, LoopConfig, TextClassification, read_data
from tests.conftest import QUICK_TRAINING, KeywordAnnotator


class SlowAnnotator(KeywordAnnotator):
    """Answers are cached by the text and what is shown with it."""

    batch_size = 1
    concurrency = 2

    def fingerprint(self, task: TextClassification, request: AnnotationRequest) -> dict:
        return {"text": request.text, "shots": [[shot.text, shot.label] for shot in request.demonstrations]}

    async def annotate(self, task: TextClassification, requests: Sequence[AnnotationRequest]) -> list[Annotation]:
        await asyncio.sleep(0.02)
        return await super().annotate(task, requests)


def main(folder: str, student: str, data: str) -> None:
    task = TextClassification(["fruit", "tool"])
    args = FreeALConfig(output_dir=folder, **QUICK_TRAINING)
    loop = FreeAL(task, SlowAnnotator(), student, args, LoopConfig(refine="all"))
    loop.run(read_data(data, task, gold_column="gold"))


if __name__ == "__main__":
    main(*sys.argv[1:])
