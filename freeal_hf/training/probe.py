"""A classifier on frozen embeddings that predicts held-out labels."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from freeal_hf.tasks import NO_LABEL

_FOLDS = 5
# More texts do not improve the probe, but make it slower.
_PROBE_TEXTS = 20_000
_PROBE_C = 5.0


def held_out_probabilities(
    embeddings: np.ndarray, labels: np.ndarray, num_labels: int, *, seed: int = 0
) -> np.ndarray:
    """Predicts the label of each text with a classifier that has not seen this label.

    A logistic regression is trained on four fifths of the texts and predicts the other fifth. It reads the embeddings
    of the student before training.

    Args:
        embeddings (`np.ndarray` of shape `[n, hidden size]`): Embeddings that do not depend on the labels.
        labels (`np.ndarray` of shape `[n]`): Labels; -1 means none. Texts without a label are only predicted.
        num_labels (`int`): The number of labels.
        seed (`int`, *optional*, defaults to 0): The random seed of the folds.

    Returns:
        `np.ndarray` of shape `[n, num_labels]`: Probabilities; rows sum to 1.
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
