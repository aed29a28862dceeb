"""Entities: word lists mark medicines and symptoms in sentences, and a student learns to find them.

Usage: python examples/entities.py
"""

import random

from datasets import Dataset

from freeal_hf import Annotation, Annotator, FreeAL, FreeALConfig, LoopConfig, Span, TokenClassification

TASK = TokenClassification({"medicine": "a drug, such as aspirin", "symptom": "a complaint, such as a headache"})
KNOWN = {
    "medicine": ["aspirin", "ibuprofen", "insulin", "penicillin", "morphine"],
    "symptom": ["headache", "fever", "nausea", "dizziness", "fatigue"],
}
MISSED = {"medicine": ["warfarin"], "symptom": ["insomnia"]}  # not in the lists: only the student can find them
PATTERNS = [
    "The patient took {medicine} for her {symptom} .",
    "{medicine} can cause {symptom} .",
    "No {symptom} today .",
]


class WordLists(Annotator):
    """Marks the words of the lists."""

    batch_size = 100
    kinds = frozenset({TokenClassification.type})

    async def annotate(self, task, requests):
        return [Annotation(0, spans=self.find(request.words)) for request in requests]

    def find(self, words):
        types = {word: name for name, known in KNOWN.items() for word in known}
        return tuple(Span(i, i + 1, types[word.lower()]) for i, word in enumerate(words) if word.lower() in types)


random.seed(0)
sentences = []
for _ in range(120):
    words = {name: random.choice(KNOWN[name] + MISSED[name]) for name in KNOWN}
    tokens = random.choice(PATTERNS).format(**words).split()
    gold = [next((f"B-{name}" for name, word in words.items() if token == word), "O") for token in tokens]
    sentences.append({"tokens": tokens, "gold": gold})

loop = FreeAL(
    TASK,
    WordLists(),
    student="sentence-transformers/all-MiniLM-L6-v2",
    args=FreeALConfig(output_dir="runs/entities", num_train_epochs=4),
    loop=LoopConfig(num_rounds=1),
)
result = loop.run(Dataset.from_list(sentences))
print(result)
for row in result.dataset.select(range(3)):
    found = [f"{row['text'][span['start'] : span['end']]} ({span['type']})" for span in row["spans"]]
    print(row["text"], "->", ", ".join(found) or "no entity")
