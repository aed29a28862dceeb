"""Checks without gold, before the training of a student, whether an annotator's answers are doubtful."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from freeal_hf.labels.counts import FEW
from freeal_hf.tasks import NO_LABEL

# The permutation test does not train the classifier again, although it was trained on the same labels. Measured on
# random labels (60 to 500 texts, 2 to 6 labels), the real error is up to 1.5 times as large, so this is at least
# twice the real error.
_STANDARD_ERRORS = 3.0
# If fewer answers than this have another label than the most frequent one, right answers can look random, because the
# classifier has too few texts to learn from. A run of such a corpus shows no estimate, but is not stopped.
_ENOUGH_OTHERS = 50
# The classifier is trained on four fifths of the answers.
_FEWEST_ANSWERS = 5

REMEDY = (
    "If this is right for your texts, confirm it with --allow-doubtful-answers "
    "(LoopConfig(allow_doubtful_answers=True)): the same command then continues with these answers. If it is not, "
    "use another annotator or describe the labels better (--task). If the server caused the problem, choose another "
    "--output-dir, because the same requests are not sent again."
)


def depends_on_text(labels: np.ndarray, held_out: np.ndarray) -> bool:
    """Returns whether labels can be predicted from the texts better than from their shares.

    The test is whether a held-out classifier gives each label more probability for the texts that have it than for the
    others. This gain is compared with the gain of labels that are assigned to the texts at random. Labels that are all
    the same, or random, do not pass.

    Source: a permutation test with exact mean and variance (Hoeffding, Annals of Mathematical Statistics 22, 1951).

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids; none below 0.
        held_out (`np.ndarray` of shape `(n, num_labels)`): The result of `held_out_probabilities` for these labels.

    Example:

        >>> labels = np.arange(100) % 2
        >>> depends_on_text(labels, np.eye(2)[labels]), depends_on_text(labels, np.full((100, 2), 0.5))
        (True, False)
    """
    count = len(labels)
    if count < _FEWEST_ANSWERS:
        return False
    given = held_out - held_out.mean(axis=0, dtype=np.float64)
    sizes = np.bincount(labels, minlength=held_out.shape[1])
    given -= (given @ sizes / count)[:, None]
    gain = given[np.arange(count), labels].sum()
    error = np.sqrt((sizes * (given**2).sum(axis=0)).sum() / (count - 1))
    return bool(gain > _STANDARD_ERRORS * error)


def answer_doubt(labels: np.ndarray, held_out: np.ndarray, names: Sequence[str]) -> str | None:
    """Returns why the user must confirm the answers of an annotator before the training, `None` if this is not needed.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        held_out (`np.ndarray` of shape `(n, num_labels)`): The result of `held_out_probabilities` for these labels.
        names (`Sequence[str]`): The labels.
    """
    answered = labels != NO_LABEL
    labels, held_out = labels[answered], held_out[answered]
    count = len(labels)
    if count < _FEWEST_ANSWERS or depends_on_text(labels, held_out):
        return None
    sizes = np.bincount(labels, minlength=len(names))
    others = count - sizes.max()
    # Ties do not matter here: of two equally frequent labels, neither has nearly all texts.
    if others <= FEW * count:
        return (
            f"The annotator gave {sizes.max():,} of {count:,} texts the label {names[int(sizes.argmax())]!r}. A "
            "server or model that does not read the texts can give the same answers."
        )
    if others >= _ENOUGH_OTHERS:
        shares = ", ".join(f"{name} {size / count:.0%}" for name, size in zip(names, sizes, strict=True))
        return (
            f"The {count:,} answers of the annotator look independent of the texts: a classifier on the texts' "
            f"embeddings predicts them no better than their shares do ({shares}). Random answers look the same."
        )
    return None


def entity_doubt(inside: np.ndarray, num_sentences: int) -> str | None:
    """Returns the same as `answer_doubt` for entities. They are doubtful if nearly all words have the same tag.

    Args:
        inside (`np.ndarray` of shape `(words,)`): Whether the annotator put each word into an entity.
        num_sentences (`int`): The number of answered sentences.
    """
    if num_sentences < _FEWEST_ANSWERS:
        return None
    if not inside.any():
        return f"The annotator found no entity in {num_sentences:,} sentences, so a student would learn to find none."
    if inside.mean() >= 1 - FEW:
        return (
            f"The annotator put {inside.mean():.0%} of all words into entities. A server or model that does not read "
            "the texts can give the same answers."
        )
    return None


def label_set_doubt(labels: np.ndarray, held_out: np.ndarray, names: Sequence[str]) -> str | None:
    """Returns the same as `answer_doubt` for sets of labels. One label that depends on the texts is enough.

    Args:
        labels (`np.ndarray` of shape `(n, num_labels)`): The annotator's answers: 1, 0, or -1 for no answer.
        held_out (`np.ndarray` of shape `(n, num_labels, 2)`): The result of `held_out_probabilities` for each label.
        names (`Sequence[str]`): The labels.
    """
    answered = labels[:, 0] != NO_LABEL
    given = labels[answered]
    count = len(given)
    if count < _FEWEST_ANSWERS:
        return None
    open_ = [label for label in range(len(names)) if 0 < given[:, label].sum() < count]
    if any(depends_on_text(given[:, label], held_out[answered, label]) for label in open_):
        return None
    [(row, most)] = Counter(map(tuple, given.tolist())).most_common(1)
    if count - most <= FEW * count:
        said = ", ".join(repr(name) for name, applies in zip(names, row, strict=True) if applies)
        return (
            f"The annotator gave {most:,} of {count:,} texts {said or 'none of the labels'}. A server or model that "
            "always gives the same answer does so too, and nothing shows that this one read the texts."
        )
    if count - most >= _ENOUGH_OTHERS:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, given.mean(axis=0), strict=True))
        return (
            f"The {count:,} answers of the annotator look independent of the texts: classifiers on the texts' "
            f"embeddings predict no label better than its share does ({shares}). Answers at random look the same."
        )
    return None
