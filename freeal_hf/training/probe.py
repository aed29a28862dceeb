"""What a classifier on frozen embeddings says of a text whose label it has not seen."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from freeal_hf.tasks import NO_LABEL

_FOLDS = 5
# A probe gains nothing from more texts, and its time grows with them.
_PROBE_TEXTS = 20_000
_PROBE_C = 5.0


def held_out_probabilities(
    embeddings: np.ndarray, labels: np.ndarray, num_labels: int, *, seed: int = 0
) -> np.ndarray:
    """What a classifier predicts for each text without having seen its label.

    The student has seen all labels; a logistic regression on the embeddings that it began with, trained on four fifths
    of the texts and asked for the fifth, costs next to nothing.

    Args:
        embeddings: Embeddings that no label has shaped, shape `[n, d]`.
        labels: Labels, -1 for none: these texts are predicted only, shape `[n]`.
        num_labels: Number of labels.
        seed: Seed of the folds.

    Returns:
        Probabilities, shape `[n, num_labels]`; rows sum to one.
    """
    rng = np.random.default_rng(seed)
    features = normalize(np.asarray(embeddings, dtype=np.float32))
    labelled = np.flatnonzero(labels != NO_LABEL)
    found = np.full((len(labels), num_labels), 1 / num_labels)

    def predict(train: np.ndarray, asked: np.ndarray) -> None:
        classes = np.unique(labels[train])
        if len(asked) == 0 or len(classes) == 0:
            return
        found[asked] = 0
        if len(classes) == 1:
            found[asked, classes[0]] = 1
            return
        train = train if len(train) <= _PROBE_TEXTS else rng.choice(train, _PROBE_TEXTS, replace=False)
        probe = LogisticRegression(C=_PROBE_C, max_iter=300).fit(features[train], labels[train])
        found[np.ix_(asked, probe.classes_)] = probe.predict_proba(features[asked])

    if len(labelled) >= _FOLDS:
        for train, asked in KFold(_FOLDS, shuffle=True, random_state=seed).split(labelled):
            predict(labelled[train], labelled[asked])
    predict(labelled, np.flatnonzero(labels == NO_LABEL))
    return found
