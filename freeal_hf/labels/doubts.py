"""Whether an annotator's answers can be believed at all, found out without gold before a student is trained."""

from collections.abc import Sequence

import numpy as np

from freeal_hf.labels.counts import FEW
from freeal_hf.tasks import NO_LABEL

# The permutation keeps the predictions, though these were learnt from the same labels. Measured on random labels (60
# to 500 texts, 2 to 6 labels), the real error is up to 1.5 times as large, so that this is twice the real error.
_STANDARD_ERRORS = 3.0
# Fewer answers than this beside the most frequent label can look random although they are right: the classifier has
# too little to learn from. A run of such a corpus shows no estimate, but is not stopped.
_ENOUGH_OTHERS = 50
# The classifier is trained on four fifths of the answers.
_FEWEST_ANSWERS = 5

REMEDY = (
    "If this is right for your texts, confirm it with --allow-doubtful-answers "
    "(LoopConfig(allow_doubtful_answers=True)): the same command then goes on with the answers that are there. If it "
    "is not, take another annotator or describe the labels better (--task). If only the server was at fault, choose "
    "another --output-dir, because the same questions are not asked again."
)


def depends_on_text(labels: np.ndarray, held_out: np.ndarray) -> bool:
    """Whether labels can be predicted from the texts better than from their shares.

    A held-out classifier gives each label more probability for the texts that have it than for the others. The
    gain is compared with the gain of labels that are assigned to the texts at random (a permutation test; mean and
    variance are exact: Hoeffding, Annals of Mathematical Statistics 22, 1951). One label for everything, and answers
    at random, do not pass.

    Args:
        labels (`np.ndarray` of shape `(n,)`): Label ids; none below 0.
        held_out (`np.ndarray` of shape `(n, num_labels)`): What `held_out_probabilities` predicted of them.
    """
    count = len(labels)
    if count < _FEWEST_ANSWERS:
        return False
    given = held_out - held_out.mean(axis=0)
    sizes = np.bincount(labels, minlength=held_out.shape[1])
    given -= (given @ sizes / count)[:, None]
    gain = given[np.arange(count), labels].sum()
    error = np.sqrt((sizes * (given**2).sum(axis=0)).sum() / (count - 1))
    return bool(gain > _STANDARD_ERRORS * error)


def answer_doubt(labels: np.ndarray, held_out: np.ndarray, names: Sequence[str]) -> str | None:
    """Why the answers of an annotator should not be trained on before the user has confirmed them, `None` if they may.

    Args:
        labels (`np.ndarray` of shape `(n,)`): The annotator's label ids, -1 for none.
        held_out (`np.ndarray` of shape `(n, num_labels)`): What `held_out_probabilities` predicted of them.
        names (`Sequence[str]`): The labels.
    """
    answered = labels != NO_LABEL
    labels, held_out = labels[answered], held_out[answered]
    count = len(labels)
    if count < _FEWEST_ANSWERS or depends_on_text(labels, held_out):
        return None
    sizes = np.bincount(labels, minlength=len(names))
    others = count - sizes.max()
    # Here ties do not matter: with two labels of the same size neither is nearly everything.
    if others <= FEW * count:
        return (
            f"The annotator gave {sizes.max():,} of {count:,} texts the label {names[int(sizes.argmax())]!r}. A "
            "server or model that always gives the same answer does so too, and nothing shows that this one read the "
            "texts."
        )
    if others >= _ENOUGH_OTHERS:
        shares = ", ".join(f"{name} {size / count:.0%}" for name, size in zip(names, sizes, strict=True))
        return (
            f"The {count:,} answers of the annotator look independent of the texts: a classifier on the texts' "
            f"embeddings predicts them no better than their shares do ({shares}). Answers at random look the same."
        )
    return None


def entity_doubt(inside: np.ndarray, num_sentences: int) -> str | None:
    """The same for entities, where one tag for everything is the sign of an annotator that did not read the texts.

    Args:
        inside (`np.ndarray` of shape `(words,)`): Whether the annotator put each word into an entity.
        num_sentences (`int`): Sentences that it answered.
    """
    if num_sentences < _FEWEST_ANSWERS:
        return None
    if not inside.any():
        return (
            f"The annotator found no entity in {num_sentences:,} sentences: the student could only learn to find none."
        )
    if inside.mean() >= 1 - FEW:
        return (
            f"The annotator put {inside.mean():.0%} of all words into entities; nothing shows that it read the texts."
        )
    return None
