"""Calibrates a trained student by a temperature that becomes a part of its weights."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from freeal_hf.data.files import copy_into, write_atomically
from freeal_hf.training.student import encoder_of

logger = logging.getLogger(__name__)

# More samples would not change the temperature visibly.
_SAMPLES = 5_000
_TEMPERATURES = np.exp(np.linspace(-1.6, 1.6, 81))
# Without evidence, a temperature between 0.6 and 1.6 is as likely (two in three) as all others.
_LOG_SPREAD = 0.5
_FLIPS = np.linspace(0, 0.9, 46)
_STORED = "calibration_temperature"


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature at which held-out predictions explain noisy labels best.

    A label is assumed to be the true one, or, with an unknown probability that is fitted together with the
    temperature, another one at random. Otherwise the predictions would be taken for too confident wherever the labels
    are wrong at random. Errors of the labels that the student has learnt from other texts are not seen: they count as
    right. The logarithm of the temperature has a normal prior, so that few predictions change little.

    Source: temperature scaling (Guo et al., ICML 2017), section 4.2, with symmetric label noise (Patrini et al., CVPR
    2017, equation 1) and a prior.

    Args:
        probabilities: Predictions of samples whose labels the student has not seen, shape `[n, classes]`.
        labels: Their noisy labels, shape `[n]`.

    Returns:
        A temperature between 0.2 and 5; 1 without predictions.

    Example:

        >>> import numpy as np
        >>> claimed = np.array([[0.98, 0.02]] * 400 + [[0.7, 0.3]] * 400)
        >>> right_as_often_as_claimed = np.array([0] * 392 + [1] * 8 + [0] * 280 + [1] * 120)
        >>> round(fit_temperature(claimed, right_as_often_as_claimed), 1)
        1.0
    """
    if len(labels) == 0 or not np.isfinite(probabilities).all():
        return 1.0
    chosen = np.random.default_rng(0).permutation(len(labels))[:_SAMPLES]
    logits, labels = np.log(np.clip(probabilities[chosen], 1e-9, 1).astype(np.float64)), labels[chosen]
    classes = logits.shape[1]
    flips = _FLIPS * (classes - 1) / classes

    def fit(temperature: float) -> float:
        """The logarithm of the posterior density, at the best share of flips."""
        scaled = np.exp(logits / temperature)
        given = (scaled[np.arange(len(labels)), labels] / scaled.sum(axis=1))[:, None]
        likelihood = (1 - flips) * given + flips / (classes - 1) * (1 - given)
        return float(np.log(likelihood).sum(axis=0).max() - (np.log(temperature) / _LOG_SPREAD) ** 2 / 2)

    return float(max(_TEMPERATURES, key=fit))


def calibrate_saved(folder: Path, temperature: float) -> None:
    """Divides the logits of a saved sequence classifier by a temperature. The last temperature counts, not the product
    with earlier ones: each is stored in the configuration.

    Args:
        folder (`Path`): The folder of the classifier, which is replaced.
        temperature (`float`): The temperature, above 0.
    """
    model = AutoModelForSequenceClassification.from_pretrained(str(folder))
    before = model.config.to_dict().get(_STORED, 1.0)
    if temperature == before or not fold_temperature(model, temperature / before):
        return
    setattr(model.config, _STORED, temperature)

    def write(path: Path) -> None:
        copy_into(folder, path)
        model.save_pretrained(path)

    write_atomically(folder, write)


@torch.no_grad()
def fold_temperature(model: PreTrainedModel, temperature: float) -> bool:
    """Divides a classifier's logits by a temperature, by changing the weights of its last layer.

    The labels that it predicts stay the same. Whoever loads the model needs no code for the temperature.

    Args:
        model: A sequence or token classifier.
        temperature: The temperature, above 0.

    Returns:
        Whether that was possible: the head of the model must end in a linear layer. Otherwise the model stays as it
        was, and a warning is logged.
    """
    layer = _last_layer(model)
    if layer is not None:
        before, weights = _dummy_logits(model), [parameter.detach().clone() for parameter in layer.parameters()]
        for parameter in layer.parameters():
            parameter.div_(temperature)
        wanted = before / temperature
        # Of half precision two digits are certain.
        if (_dummy_logits(model) - wanted).abs().max() <= 0.02 * wanted.abs().max():
            return True
        for parameter, weight in zip(layer.parameters(), weights, strict=True):
            parameter.copy_(weight)
    logger.warning(
        "The student is not calibrated: the head of %s does not end in a linear layer.", type(model).__name__
    )
    return False


def _last_layer(model: Any) -> nn.Linear | None:
    """The linear layer outside of the encoder that has an output for each label."""
    encoder = set(map(id, encoder_of(model).modules()))
    layers = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear)
        and id(module) not in encoder
        and module.out_features == model.config.num_labels
    ]
    return layers[-1] if layers else None


def _dummy_logits(model: PreTrainedModel) -> Tensor:
    was_training = model.training
    model.eval()
    tokens = model.dummy_inputs["input_ids"][:1].to(model.device)
    logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits.float()
    model.train(was_training)
    return logits
