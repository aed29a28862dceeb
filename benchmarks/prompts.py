"""Measures the share of prompt tokens that a prefix cache can serve, and the similarity of shared demonstrations.

    python benchmarks/prompts.py [--data ../shared/data] [--texts 2000] [--shots 10] [--cache-tokens 200000]

For each corpus, the prompts of `driver.run` are built in the order in which they are sent, and are given to a model of
the prefix cache of vLLM: blocks of 16 tokens, each only valid after all blocks before it; the least recently used
block is dropped. Tokens are the word pieces of MiniLM, because its tokenizer needs no network; the shares hardly
depend on the tokenizer. The script prints the share of prompt tokens that the cache serves, and the mean cosine
similarity of a text and its demonstrations.
"""

import argparse
import csv
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from freeal_hf.annotators.base import AnnotationRequest
from freeal_hf.annotators.prompts.labels import annotation_messages
from freeal_hf.annotators.sharing import cluster_queries
from freeal_hf.demonstrations import nearest_demonstrations
from freeal_hf.embedded import EMBEDDED_MODEL, resolve_model
from freeal_hf.tasks import Demonstration, TextClassification, load_task

BLOCK = 16
POOL = 100


class PrefixCache:
    """Counts how many tokens of each prompt are served, with room for so many tokens."""

    def __init__(self, tokens: int) -> None:
        self.blocks: OrderedDict[int, None] = OrderedDict()
        self.room = tokens // BLOCK
        self.read = self.served = 0

    def put(self, prompt: Sequence[int]) -> None:
        """Reads one prompt."""
        self.read += len(prompt)
        chain, is_prefix = 0, True
        for start in range(0, len(prompt) - len(prompt) % BLOCK, BLOCK):
            chain = hash((chain, *prompt[start : start + BLOCK]))
            is_prefix = is_prefix and chain in self.blocks
            self.served += BLOCK * is_prefix
            self.blocks[chain] = None
            self.blocks.move_to_end(chain)
            if len(self.blocks) > self.room:
                self.blocks.popitem(last=False)


def in_sent_order(requests: Iterable[AnnotationRequest]) -> list[AnnotationRequest]:
    """As `driver.run` sends them: those with the same demonstrations in a row."""
    groups: dict[tuple[Demonstration, ...], list[AnnotationRequest]] = {}
    for request in requests:
        groups.setdefault(request.demonstrations, []).append(request)
    return [request for group in groups.values() for request in group]


def text_first(task: TextClassification, request: AnnotationRequest) -> str:
    """The same prompt with the text before everything else, as many write it."""
    *fixed, text = annotation_messages(task, request, coded=True)
    return "\n".join(message["content"] for message in [text, *fixed])


def text_last(task: TextClassification, request: AnnotationRequest) -> str:
    """The prompt as it is sent."""
    return "\n".join(message["content"] for message in annotation_messages(task, request, coded=True))


def read_texts(path: Path, count: int) -> tuple[list[str], list[str]]:
    """The first different texts of a corpus, and their gold labels for the pool."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list({row["text"]: row["gold"] for row in csv.DictReader(file)}.items())
    order = np.random.default_rng(0).permutation(len(rows))[: count + POOL]
    return [rows[i][0] for i in order], [rows[i][1] for i in order]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpora", nargs="*", default=["trec", "subj", "mr"])
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--cache-tokens", type=int, default=200_000)
    options = parser.parse_args()
    encoder = SentenceTransformer(resolve_model(EMBEDDED_MODEL))

    print(f"{'corpus':<8}{'prompt':<26}{'served':>8}{'similarity':>12}{'lists':>8}")
    for corpus in options.corpora:
        task = load_task(options.data / corpus / "task.yaml")
        texts, gold = read_texts(options.data / corpus / "train.csv", options.texts)
        embeddings = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        pool, labels = embeddings[:POOL], np.array([task.label2id[name] for name in gold[:POOL]])
        shots = [Demonstration(text, int(label)) for text, label in zip(texts[:POOL], labels, strict=True)]
        texts, queries = texts[POOL:], embeddings[POOL:]

        for name, size, build in [
            ("text first", 1, text_first),
            ("a list for each text", 1, text_last),
            ("a list for 5 texts", 5, text_last),
            ("a list for 20 texts", 20, text_last),
            ("a list for 100 texts", 100, text_last),
            ("one list for all", len(texts), text_last),
        ]:
            chosen = nearest_demonstrations(
                cluster_queries(queries, size), pool, labels, per_label=max(1, options.shots // task.num_labels)
            )
            similarity = np.mean([float(queries[i] @ pool[shown].T.mean(1)) for i, shown in enumerate(chosen)])
            requests = [
                AnnotationRequest(text, tuple(shots[j] for j in shown))
                for text, shown in zip(texts, chosen, strict=True)
            ]
            cache = PrefixCache(options.cache_tokens)
            for request in in_sent_order(requests):
                cache.put(encoder.tokenizer(build(task, request), truncation=False, verbose=False)["input_ids"])
            lists = len({request.demonstrations for request in requests})
            print(f"{corpus:<8}{name:<26}{cache.served / cache.read:>8.1%}{similarity:>12.3f}{lists:>8}", flush=True)


if __name__ == "__main__":
    main()
