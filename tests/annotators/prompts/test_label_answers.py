"""Parsing a label in the answer of an LLM: each clear form of a label is read, and a denial of a label is not."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeal_hf.annotators.prompts.label_answers import parse_answer
from freeal_hf.annotators.prompts.labels import answer_text, label_codes
from freeal_hf.tasks import NO_LABEL, TextClassification

TASK = TextClassification(
    {"close_account": "wants to leave", "not spam": "a real letter", "spam": "unasked-for", "Billing": "money"}
)
CLOSE, NOT_SPAM, SPAM, BILLING = range(4)

# Tasks without a label that is itself the denial of another one.
TASKS = [
    TextClassification(["ham", "spam"]),
    TextClassification(["toxic", "clean"]),
    TextClassification(["World", "Sports", "Business", "Sci/Tech"]),
    TextClassification(["terminate_account", "card arrival", "top_up_failed"]),
    TextClassification(["positive", "negative", "neutral"]),
    TextClassification(["political", "active", "agree"]),
    TextClassification(["Sport", "Politik"]),
    TextClassification(["体育", "政治"]),
    TextClassification(["спорт", "политика"]),
    TextClassification(["1", "2"]),
]
LABELS = [(task, label) for task in TASKS for label in range(task.num_labels)]

PREFIXES = """non|un|anti|counter|in|dis|pseudo|quasi|no|not|contra|de|mis|a|ir|im|il|nicht|kein|sans|non-|não|niet|on
nie|bez|не|анти|без|غير|لا|非|不|無|无|反|비|불|ikke|inte|ei|nem|μη|ne""".replace("\n", "|").split("|")
NEGATIONS = """not X|no X|never X|isn't X|hardly X|barely X|scarcely X|anything but X|far from X|rather than X
instead of X|except X|everything except X|other than X|without X|nothing X|neither X|X is wrong|X is incorrect|X? No.
X would be a mistake|X is out of the question|the opposite of X|X - no|X: no|X: false|X (not)|X, not|lacks X|X-free
X-like|X/not|!X|! X|¬X|~X|~~X~~|-X|−X|≠ X|label != X|label ≠ X|❌ X|X ❌|X 👎|not-X|not_X|notX|X!=true|0% X
exclude X|rule out X|ruled out: X|X excluded|unlike X|less X|X is unlikely|unlikely X|X unlikely|doubtful: X|fake X
ex-X|almost X|nearly X|not really X|cannot be X|can't be X|X is denied|refuses X|opposed to X|against X|X is absent
kein X|nicht X|niemals X|alles außer X|kaum X|X ist falsch|nichts mit X|weder X|X nicht|statt X
pas X|ce n'est pas X|ce n'est pas du X|aucun X|jamais X|sans X|tout sauf X|X est faux|ni X|plutôt que X|guère X
no es X|nunca X|jamás X|sin X|ningún X|todo menos X|X es falso|tampoco X|apenas X|en vez de X
non è X|mai X|senza X|nessun X|tranne X|per niente X|tutt'altro che X|não é X|nunca é X|sem X|nenhum X|exceto X
niet X|geen X|nooit X|behalve X|zonder X|allesbehalve X|nie X|to nie jest X|nigdy X|bez X|oprócz X|żaden X
не X|это не X|никогда X|без X|кроме X|нет X|X неверно|вовсе не X|X değil|asla X|hiç X|X olmayan|X yok
ليس X|لا X|غير X|بدون X|ليست X|לא X|אין X|不是X|不是 X|并非X|非X|没有X|X不对|不属于 X|别选 X|X ではない|Xではない
Xじゃない|X ではありません
X 아님|X이 아니다|X 아니다|नहीं X|X नहीं|ไม่ใช่ X|không phải X|bukan X|tidak X|hindi X|inte X|ikke X|ei X|ikke noe X
nem X|δεν είναι X|όχι X|nu este X|nije X|ni X|hvergi X|ez X|nid X|sio X|he X? Kāo|cha X""".replace("\n", "|").split(
    "|"
)
FRAMES = [
    "{}",
    "{}.",
    "**{}**",
    '"{}"',
    "Label: {}",
    "The label is {}.",
    "The text is {}.",
    "I would say {}",
    "Sure! Here is the label: {}",
    "Die Antwort ist {}",
    "La respuesta es {}.",
    "答案是{}。",
    '{{"label": "{}"}}',
    '```json\n{{"label": "{}"}}\n```',
    "<think>Maybe.</think>{}",
    "It is {}, of course.",
    "1. {}",
    "{} (98%)",
    "{} (confidence: 0.98)",
    "98% {}",
    '{{"label": "{}", "confidence": 0.98}}',
]
WHOLE = [
    "{}",
    " {} \n",
    "{}.",
    '"{}"',
    "'{}'",
    "`{}`",
    "**{}**",
    "**{}.**",
    "«{}»",
    "“{}”",
    "({})",
    "{}。",
    "Label: {}",
    "label: {}.",
    "**Label:** {}",
    "Answer: **{}**",
    "Category: {}",
    "The label is {}.",
    "The correct label is: {}",
    "I would classify this text as {}.",
    "This text is about {}.",
    "Sure! Here is the label: {}",
    'The answer is "{}".',
    "Antwort: {}",
    "Die Kategorie ist {}.",
    "Réponse : {}",
    "La etiqueta es {}.",
    "Ответ: {}",
    "答案：{}",
    '{{"label": "{}"}}',
    '{{"label": "{}."}}',
    "{{'label': '{}'}}",
    '{{"Label": ["{}"]}}',
    '```json\n{{"label": "{}"}}\n```',
    'Sure! {{"label": "{}"}} Anything else?',
    '{{"label": "{}"}}\n\nExplanation: A clear case.',
    '{{"label": "{}"}}\n\nText: "And another text"\n{{"label": "x"}}',
    "<think>Hm.</think>\n{}",
    "<answer>{}</answer>",
    "\\boxed{{{}}}",
    "{}<|im_end|>",
    "analysisWe need a label.assistantfinal{}",
]


# ---- Properties ----


@given(st.sampled_from(LABELS), st.sampled_from(WHOLE), st.sampled_from([str, str.upper, str.title]))
def test_a_label_in_any_form_of_a_whole_answer_is_read(
    labelled: tuple[TextClassification, int], form: str, case: type[str]
) -> None:
    task, label = labelled
    assert parse_answer(form.format(case(task.label_names[label])), task) == (label, None)


@given(st.sampled_from(LABELS), st.sampled_from(NEGATIONS), st.sampled_from(FRAMES), st.booleans(), st.booleans())
def test_no_negation_of_a_label_has_that_label(
    labelled: tuple[TextClassification, int], negation: str, frame: str, capital: bool, coded: bool
) -> None:
    task, label = labelled
    denied = negation.replace("X", task.label_names[label])
    answer = frame.format(denied.capitalize() if capital else denied)
    assert parse_answer(answer, task, coded=coded).label != label or task.label_of(denied) == label


@given(
    st.sampled_from(LABELS),
    st.sampled_from(PREFIXES),
    st.sampled_from(["", "-", "‐", "‑", "–", "_", "'", "­", "​", "-‘"]),
    st.sampled_from(FRAMES),
    st.booleans(),
)
def test_no_prefix_makes_a_label_of_a_word(
    labelled: tuple[TextClassification, int], prefix: str, joint: str, frame: str, capital: bool
) -> None:
    task, label = labelled
    denied = f"{prefix}{joint}{task.label_names[label]}"
    answer = frame.format(denied.capitalize() if capital else denied)
    assert parse_answer(answer, task).label == NO_LABEL


@given(st.sampled_from(LABELS), st.sampled_from(FRAMES), st.from_regex(r"\A[a-zäéñßøžшя]{2,9}\Z"), st.booleans())
def test_an_unknown_word_beside_a_label_makes_the_answer_unclear(
    labelled: tuple[TextClassification, int], frame: str, word: str, is_after: bool
) -> None:
    # The word may be a negation in a language that no list has.
    task, label = labelled
    name, word = task.label_names[label], f"qq{word}"
    answer = frame.format(f"{name} {word}" if is_after else f"{word} {name}")
    assert parse_answer(answer, task).label == NO_LABEL


@given(st.sampled_from(LABELS), st.sampled_from(FRAMES), st.sampled_from("bcdefg非不"), st.booleans())
def test_a_label_inside_another_word_is_no_label(
    labelled: tuple[TextClassification, int], frame: str, letter: str, is_after: bool
) -> None:
    task, label = labelled
    name = task.label_names[label]
    assert parse_answer(frame.format(f"{name}{letter}" if is_after else f"{letter}{name}"), task).label == NO_LABEL


@given(st.sampled_from(TASKS), st.sampled_from(FRAMES), st.sampled_from(["{} or {}", "{}, {}", "{} and {}", "{} {}"]))
def test_an_answer_with_two_labels_has_no_label(task: TextClassification, frame: str, both: str) -> None:
    assert parse_answer(frame.format(both.format(*task.label_names[:2])), task).label == NO_LABEL


@given(st.sampled_from(TASK.label_names), st.booleans())
def test_the_requested_answer_is_read(name: str, coded: bool) -> None:
    label = TASK.label2id[name]
    assert parse_answer(answer_text(label_codes(TASK, coded)[label]), TASK, coded=coded) == (label, None)


@given(st.text())
def test_any_answer_is_read_without_error(answer: str) -> None:
    parsed = parse_answer(answer, TASK, coded=True)
    assert (parsed.label == NO_LABEL) == (parsed.reason is not None)


@given(st.text(alphabet="{}[]\"\\':, labespm\n`-", max_size=40))
def test_broken_json_is_read_without_error(answer: str) -> None:
    parsed = parse_answer(answer, TASK)
    assert (parsed.label == NO_LABEL) == (parsed.reason is not None)


# ---- Examples ----


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"label":"not spam"}', NOT_SPAM),
        ('  {"label": "SPAM"}\n', SPAM),
        ('{"reason": "not spam, but close_account", "label": "spam"}', SPAM),
        ("Close account", CLOSE),
        ("close-account", CLOSE),
        ("This is not spam.", NOT_SPAM),
        ('{"category": "Billing"}', BILLING),
        ("Spam or billing? I say spam.</think>Billing", BILLING),
        ('[{"label": "spam"}]', SPAM),
        ('{"answer": {"label": "spam"}}', SPAM),
        ('{"predictedLabel": "spam"}', SPAM),
    ],
)
def test_an_answer_with_one_label_has_this_label(answer: str, label: int) -> None:
    assert parse_answer(answer, TASK) == (label, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "empty answer"),
        ("", "empty answer"),
        (" \n", "empty answer"),
        ("<think>spam?</think>", "empty answer"),
        ("<think>spam? or", "cut-off answer"),
        ('{"label": "sp', "cut-off answer"),
        ('{"label": "spam', "cut-off answer"),
        ("I cannot help with that.", "not a label"),
        ('{"label": "unknown"}', "not a label"),
        ('{"label": null}', "not a label"),
        ('{"not": "spam"}', "not a label"),
        ('{"wrong": {"label": "spam"}}', "not a label"),
        ('It would be wrong to answer {"label": "spam"}', "not a label"),
        ('{"label": "spam"} is wrong', "not a label"),
        ('{"label": "spam"}\n\nExplanation: I am joking.', "not a label"),
        ('{"label": "spam"}\n\nReason: it reads like Billing.', "not a label"),
        ("### Thoughts\nIt could be spam.\n### Answer\nham", "not a label"),
        ("spammer", "not a label"),
        ("It isn't Billing.", "not a label"),
        ("Is it spam?", "not a label"),
        ("a spam", "not a label"),
        ("Either spam or billing", "several labels"),
        ('{"label": "spam"} {"label": "Billing"}', "several labels"),
        ('{"label": "spam", "label": "Billing"}', "several labels"),
        ('{"label": ["spam", "Billing"]}', "several labels"),
    ],
)
def test_an_answer_with_no_or_two_labels_has_a_reason(answer: str | None, reason: str) -> None:
    assert parse_answer(answer, TASK) == (NO_LABEL, reason)


@pytest.mark.parametrize("form", ["1. {}", "2) {}", "1. **{}**", "3. The label is {}.", '{{"label": "1. {}"}}'])
def test_the_number_of_a_line_is_no_part_of_the_label(form: str) -> None:
    assert parse_answer(form.format("spam"), TASK) == (SPAM, None)


@pytest.mark.parametrize("answer", ["1. 2", "1. spam\n2. Billing", "1.spam", "0. spam", "1: spam", "1. spam 2. ham"])
def test_a_number_that_can_be_more_than_a_line_number_makes_the_answer_unclear(answer: str) -> None:
    numbers = TextClassification(["1", "2", "spam", "Billing"])
    assert parse_answer(answer, numbers).label == NO_LABEL


@pytest.mark.parametrize(
    "form",
    [
        "{} (98%)",
        "{} 98 %",
        "{} - 98%",
        "**{}** (98.5%)",
        "{} (confidence: 98%)",
        "{} (0.98)",
        "{}, 98% sure",
        "98% {}",
    ],
)
def test_a_confidence_beside_a_label_is_no_part_of_the_answer(form: str) -> None:
    assert parse_answer(form.format("spam"), TASK) == (SPAM, None)


@pytest.mark.parametrize(
    "form", ["{} (2%)", "{} (confidence: 0.02)", "{} 20%", '{{"label": "{}", "confidence": 0.2}}']
)
def test_a_confidence_below_chance_denies_the_label(form: str) -> None:
    # TASK has four labels, so that the likeliest has at least 25 %.
    assert parse_answer(form.format("spam"), TASK) == (NO_LABEL, "not a label")


def test_the_chance_of_a_label_depends_on_the_number_of_labels() -> None:
    assert parse_answer("spam (30%)", TASK).label == SPAM
    assert parse_answer("spam (30%)", TextClassification(["ham", "spam"])).label == NO_LABEL


@pytest.mark.parametrize(
    "fields",
    [
        '"confidence": 0.9',
        '"confidence": 4',
        '"confidence": "90%"',
        '"negated": false',
        '"is_not": "no"',
        '"valid": true',
        '"ambiguous": false',
        '"spam": true',
        '"Billing": false',
        '"spam": 0.9, "Billing": 0.1',
        '"explanation": "It is not Billing, although it has a price."',
        '"alternatives": ["Billing"]',
        '"id": 0',
        '"errors": []',
        '"note": null',
    ],
)
def test_another_field_that_does_not_contradict_the_label_is_ignored(fields: str) -> None:
    assert parse_answer(f'{{"label": "spam", {fields}}}', TASK) == (SPAM, None)
    assert parse_answer(f'Sure! {{{fields}, "label": "spam"}}', TASK) == (SPAM, None)


@pytest.mark.parametrize(
    "fields",
    [
        '"negated": true',
        '"isNegated": true',
        '"negation": "yes"',
        '"is_not": 1',
        '"not": "spam"',
        '"inverted": true',
        '"incorrect": true',
        '"valid": false',
        '"is_correct": "no"',
        '"label_applies": false',
        '"spam": false',
        '"is_spam": "no"',
        '"Billing": true',
        '"confidence": 0.02',
        '"probability": "2%"',
    ],
)
def test_another_field_that_contradicts_the_label_makes_the_answer_unclear(fields: str) -> None:
    assert parse_answer(f'{{"label": "spam", {fields}}}', TASK) == (NO_LABEL, "not a label")
    assert parse_answer(f'Sure! {{{fields}, "label": "spam"}}', TASK) == (NO_LABEL, "not a label")


@pytest.mark.parametrize("field", ["category", "true_label", "finalLabel"])
def test_another_field_that_names_another_label_makes_two_labels(field: str) -> None:
    assert parse_answer(f'{{"label": "spam", "{field}": "Billing"}}', TASK) == (NO_LABEL, "several labels")


@pytest.mark.parametrize(
    ("answer", "label"), [("B-", 1), ('{"label": "B"}', 0), ('{"label": "b-"}', 1), ("a_b", 2), ("a b", 3)]
)
def test_labels_that_differ_only_in_punctuation_are_distinguished(answer: str, label: int) -> None:
    grades = TextClassification(["B", "B-", "a_b", "a b"])
    assert parse_answer(answer, grades).label == label


def test_a_label_is_not_read_from_a_longer_grade() -> None:
    assert parse_answer("It is a B-.", TextClassification(["B", "C"])).label == NO_LABEL


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("no", 1),
        ("No.", 1),
        ("The answer is no.", 1),
        ("Yes", 0),
        ("No, it is yes", NO_LABEL),
        ("Not yes", NO_LABEL),
    ],
)
def test_a_label_that_is_a_negation_is_read_as_a_label(answer: str, label: int) -> None:
    assert parse_answer(answer, TextClassification(["yes", "no"])).label == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("It is the best.", NO_LABEL),
        ("The text is about it.", NO_LABEL),
        ("it", 0),
        ("Label: it", 0),
        ('The label is "it".', 0),
        ("It is sales.", NO_LABEL),
    ],
)
def test_a_label_that_is_a_common_word_is_read_only_if_it_is_marked_as_the_answer(answer: str, label: int) -> None:
    assert parse_answer(answer, TextClassification(["it", "sales"])).label == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"label": "A"}', 0),
        ("B", 1),
        ("c.", 2),
        ("(D)", 3),
        ("B. not spam", 1),
        ("B) not spam", 1),
        ("The answer is B.", 1),
        ("Label: A", 0),
        ("spam", 2),
        ('{"label": "spam"}', 2),
    ],
)
def test_a_letter_or_a_name_is_read_when_letters_were_asked_for(answer: str, label: int) -> None:
    assert parse_answer(answer, TASK, coded=True) == (label, None)


@pytest.mark.parametrize(
    "answer",
    ["a bill of goods", "E", "AB", '{"label": "Z"}', "A text", "A. spam", "A is wrong", "Not A", "non-A", "B, not A"],
)
def test_a_letter_that_is_denied_or_a_word_is_no_label(answer: str) -> None:
    assert parse_answer(answer, TASK, coded=True).label == NO_LABEL


def test_numbers_in_json_name_labels_by_value() -> None:
    task = TextClassification(["0", "1"])
    assert [parse_answer(json.dumps({"label": value}), task).label for value in (1, 1.0, "1.0", 10)] == [1, 1, 1, -1]


@pytest.mark.parametrize(
    ("answer", "label"), [("The label is 1.", 1), ("1!", 1), ("The text has 1 label: 0", NO_LABEL), ("1.5", NO_LABEL)]
)
def test_a_number_is_a_label_only_as_the_answer(answer: str, label: int) -> None:
    assert parse_answer(answer, TextClassification(["0", "1"])).label == label


def test_every_negation_of_the_list_names_the_label() -> None:
    assert all(re.search("X", negation) for negation in NEGATIONS)
