"""Any number of labels for each text: the labels of two other systems are fused, and a student learns them.

Usage: python examples/multi_label.py
"""

import random

from datasets import Dataset

from freeal_hf import FreeAL, FreeALConfig, LoopConfig, MultiLabelClassification

TASK = MultiLabelClassification({"food": "about the meal", "service": "about the staff", "price": "about the cost"})
PHRASES = {
    "food": ["the soup was cold", "the pasta tasted great", "fresh fish and good bread"],
    "service": ["the waiter was rude", "friendly staff", "we waited for an hour"],
    "price": ["far too expensive", "cheap for this area", "the bill was a shock"],
}


def with_errors(names, share):
    """What a system says that decides each label wrongly with a probability."""
    said = [name for name in PHRASES if (name in names) != (random.random() < share)]
    return ";".join(said) or "(none)"


random.seed(0)
reviews = []
for i in range(150):
    names = random.sample(list(PHRASES), random.choice([0, 1, 1, 2]))
    text = ", ".join(random.choice(PHRASES[name]) for name in names) or "we will see"
    reviews.append(
        {
            "text": f"Visit {i}: {text}.",
            "gold": ";".join(names) or "(none)",
            "first": with_errors(names, 0.05),
            "second": with_errors(names, 0.15),
        }
    )

loop = FreeAL(
    TASK,
    "column:first,second",
    student="sentence-transformers/all-MiniLM-L6-v2",
    args=FreeALConfig(output_dir="runs/restaurants", num_train_epochs=4),
    loop=LoopConfig(num_rounds=1),
)
result = loop.run(Dataset.from_list(reviews))
print(result)

classify = result.pipeline(top_k=None)
thresholds = dict(zip(TASK.label_names, classify.model.config.thresholds, strict=True))
[scores] = classify(["The waiter was rude, and far too expensive."])
print([found["label"] for found in scores if found["score"] > thresholds[found["label"]]])
