"""Messages in the words of the page."""

import pytest

from freeal_hf.web.messages import for_visitors

RUN = "/srv/space/runs/0123456789abcdefghijklmnopqrst-_"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("There are 9 labels; the limit is 8.", "There are 9 labels; the limit is 8."),
        (f"'{RUN}/texts.jsonl', row 3: no text.", "The data, row 3: no text."),
        (f"The run in '{RUN}/run' is locked. Wait, or pass --overwrite.", "The run in the run is locked."),
        (
            "the annotator gave 50 of 50 texts the label 'annotator'. Check the labels (--labels), or go on.",
            "The language model gave 50 of 50 texts the label 'annotator'. Check the labels, or go on.",
        ),
        ("The student differs from gold.", "The small model differs from true label."),
        ("All calls failed.\nreason      calls\ntimeout     12", "All calls failed."),
        ("Use freeal-hf run --help.", "This cannot be done with these data or settings."),
        ("Nothing is downloaded, because HF_HUB_OFFLINE=1 is set; unset it. Log in.", "Log in."),
        ("", ""),
    ],
)
def test_options_paths_tables_and_terms_of_the_package_are_not_shown(message, said):
    assert for_visitors(message) == said
