import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf import Annotation, TextClassification, TokenClassification
from freeal_hf.annotators.base import Generation, TextGenerator
from freeal_hf.annotators.prompts.grounding import ground
from freeal_hf.demonstrations import choose_demonstrations, generate_demonstrations, nearest_demonstrations


def choose(labels, is_candidate=None, losses=None, embeddings=None, num_labels=2, **options):
    labels = np.asarray(labels)
    n = len(labels)
    rng = np.random.default_rng(0)
    return choose_demonstrations(
        [f"text {i}" for i in range(n)],
        [f"id{i}" for i in range(n)],
        labels,
        np.arange(n, dtype=float) if losses is None else np.asarray(losses, dtype=float),
        np.ones(n, dtype=bool) if is_candidate is None else np.asarray(is_candidate),
        rng.normal(size=(n, 4)) if embeddings is None else np.asarray(embeddings, dtype=float),
        num_labels=num_labels,
        **options,
    )


def test_the_pool_is_divided_equally_among_the_labels():
    pool = choose([0] * 90 + [1] * 30, pool_size=20)
    assert [shot.label for shot in pool].count(0) == 10
    assert [shot.label for shot in pool].count(1) == 10


def test_only_candidates_are_chosen():
    pool = choose([0, 0, 1, 1], is_candidate=[True, False, False, True], pool_size=10)
    assert [shot.id for shot in pool] == ["id0", "id3"]


def test_only_the_cleanest_fraction_is_chosen():
    pool = choose([0] * 100, num_labels=1, pool_size=5, candidate_fraction=0.1)
    assert all(int(shot.id[2:]) < 10 for shot in pool)


def test_one_sample_of_every_cluster_is_chosen():
    corners = np.repeat([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], 10, axis=0)
    pool = choose([0] * 30, num_labels=1, pool_size=3, candidate_fraction=1.0, embeddings=corners)
    assert sorted(int(shot.id[2:]) // 10 for shot in pool) == [0, 1, 2]


@given(counts=st.lists(st.integers(0, 7), min_size=2, max_size=4), pool_size=st.integers(1, 20))
def test_labels_with_few_or_no_samples_have_few_or_no_demonstrations(counts, pool_size):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    pool = choose(labels, num_labels=len(counts), pool_size=pool_size)
    per_label = max(1, pool_size // len(counts))
    for label, count in enumerate(counts):
        assert sum(shot.label == label for shot in pool) == min(count, per_label)


@given(n=st.integers(1, 6), m=st.integers(0, 12), per_label=st.integers(1, 4), seed=st.integers(0, 100))
def test_retrieval_finds_the_nearest_of_every_label(n, m, per_label, seed):
    rng = np.random.default_rng(seed)
    queries, pool, labels = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)), rng.integers(0, 3, m)
    found = nearest_demonstrations(queries, pool, labels, per_label=per_label)
    unit = pool / np.linalg.norm(pool, axis=1, keepdims=True) if m else pool
    for query, shots in zip(queries, found, strict=True):
        similarity = unit @ (query / np.linalg.norm(query)) if m else np.zeros(0)
        for label in range(3):
            members = np.flatnonzero(labels == label)
            best = sorted(members, key=lambda i: -similarity[i])[:per_label]
            assert sorted(i for i in shots if labels[i] == label) == sorted(best)


def test_the_nearest_demonstration_is_last():
    pool = np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]])
    assert nearest_demonstrations(np.array([[0.0, 1.0]]), pool, np.array([0, 0, 1]), per_label=2) == [[0, 2, 1]]


class Writer(TextGenerator):
    """Writes texts for a label, and labels a text by its first word."""

    def __init__(self, texts):
        self.texts = texts

    async def generate(self, task, request):
        return Generation(tuple(self.texts[request.label]))

    async def annotate(self, task, requests):
        names = task.label_names
        return [Annotation(names.index(request.text.split()[0])) for request in requests]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["good news", "good day"], ["good news", "good day"]),
        (["good news", "Good  News"], ["good news"]),
        (["good film", "good day"], ["good day"]),
        (["bad luck", "good day"], ["good day"]),
        (["", "good day"], ["good day"]),
    ],
    ids=["new texts", "a repeated text", "a copy of the corpus", "a text of another label", "an empty text"],
)
def test_generated_demonstrations_are_new_and_confirmed_by_the_annotator(written, kept):
    task = TextClassification(["good", "bad"])
    pool = generate_demonstrations(task, Writer([written, []]), ["good film"], per_label=2)
    assert [shot.text for shot in pool] == kept


class SentenceWriter(TextGenerator):
    """Writes sentences with what they are said to name, and finds Anna (a person) and Paris (a place) in a text."""

    kinds = frozenset({"token-classification"})

    def __init__(self, written):
        self.written = written

    async def generate(self, task, request):
        sentences = self.written.get(request.label, [])
        return Generation(tuple(text for text, _ in sentences), entities=tuple(named for _, named in sentences))

    async def annotate(self, task, requests):
        known = [("Anna", "PER"), ("Paris", "LOC")]
        return [Annotation(0, spans=ground(known, request.words).spans) for request in requests]


ANNA, PARIS = ("Anna", "PER"), ("Paris", "LOC")


@pytest.mark.parametrize(
    ("label", "written", "kept"),
    [
        (0, ("Anna sings.", (ANNA,)), (ANNA,)),
        (0, ("Anna sings in Paris.", (PARIS, ("anna", "PER"))), (ANNA, PARIS)),
        (0, ("Anna sings.", (ANNA, ("Berlin", "LOC"))), (ANNA,)),
        (0, ("Anna sings in Paris.", (ANNA,)), None),
        (0, ("Anna sings.", (("Anna", "LOC"),)), None),
        (0, ("She is in Paris.", (PARIS,)), None),
        (0, ("Anna met Bob.", ()), None),
        (-1, ("Nobody sings.", ()), ()),
        (-1, ("Anna sings.", (ANNA,)), None),
        (-1, ("Anna sings.", ()), None),
    ],
    ids=[
        "as it should be",
        "in another order and case",
        "an invented entity",
        "an entity that is missed",
        "an entity of another type",
        "another type than asked for",
        "no entity although one was asked for",
        "none as asked for",
        "one although none was asked for",
        "one that is not said",
    ],
)
def test_generated_sentences_have_their_type_and_are_confirmed_by_the_annotator(label, written, kept):
    task = TokenClassification(["PER", "LOC"])
    pool = generate_demonstrations(task, SentenceWriter({label: [written]}), ["Nobody knows."], per_label=2)
    assert [(shot.text, shot.label, shot.entities) for shot in pool] == (
        [] if kept is None else [(written[0], label, kept)]
    )


def test_generated_sentences_are_new():
    task = TokenClassification(["PER", "LOC"])
    writer = SentenceWriter({0: [("Anna  sings.", (ANNA,)), ("anna sings.", (ANNA,)), ("Anna left.", (ANNA,))]})
    pool = generate_demonstrations(task, writer, ["Anna left."], per_label=3)
    assert [shot.text for shot in pool] == ["Anna  sings."]


def test_medoids_of_very_many_samples_are_near_the_centres():
    rng = np.random.default_rng(0)
    middles = 10 * np.eye(4)[:3]
    cluster = np.arange(12_000) % 3
    embeddings = middles[cluster] + rng.normal(size=(12_000, 4))
    embeddings[:3] = middles
    pool = choose([0] * 12_000, num_labels=1, pool_size=3, candidate_fraction=1.0, embeddings=embeddings)
    assert sorted(cluster[int(shot.id[2:])] for shot in pool) == [0, 1, 2]
    found = embeddings[[int(shot.id[2:]) for shot in pool]]
    angle = found.max(axis=1) / np.linalg.norm(found, axis=1)
    assert (angle > 0.999).all()


def test_the_approximate_search_finds_nearly_all_nearest_demonstrations():
    pytest.importorskip("usearch")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 8))
    pool = centres[rng.integers(0, 20, 20_500)] + 0.5 * rng.normal(size=(20_500, 8))
    queries = pool[:50] + 0.01 * rng.normal(size=(50, 8))
    found = nearest_demonstrations(queries, pool, np.zeros(len(pool), dtype=int), per_label=10)
    unit = pool / np.linalg.norm(pool, axis=1, keepdims=True)
    truly = np.argsort(-(queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ unit.T, axis=1)[:, :10]
    assert np.mean([len(set(some) & set(all_)) / 10 for some, all_ in zip(found, truly.tolist(), strict=True)]) > 0.9
    assert np.mean([shots[-1] == i for i, shots in enumerate(found)]) > 0.9
