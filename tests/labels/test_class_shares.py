import numpy as np
import pytest

from freeal_hf.errors import InputError
from freeal_hf.labels.class_shares import most_right, read_class_shares, shares_bias

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a=0.5,b=0.5", "no share of 'c'"),
        ("a=0.5,b=0.3,d=0.2", "names 'd', which is no label; there are a, b, c"),
        ("a=0.5,b=0.3,c=0.3", "sums to 1.1"),
        ("a=0.5,b=half,c=0.3", "gives 'b' the share 'half'"),
        ("a=0.5,b=-0.5,c=1", "gives 'b' the share '-0.5'"),
        ("a=0.5,0.3", "'0.3' without a label"),
        ("missing.yaml", "missing.yaml"),
        ({"a": 1}, "no share of 'b'"),
    ],
)
def test_shares_that_cannot_be_used_are_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        read_class_shares(given, NAMES)


def test_shares_are_read_from_a_file(tmp_path):
    path = tmp_path / "shares.yaml"
    path.write_text("a: 0.5\nb: 0.3\nc: 0.2\n", encoding="utf-8")
    assert read_class_shares(str(path), NAMES).tolist() == [0.5, 0.3, 0.2]


def test_a_label_with_few_texts_is_moved_less():
    scores = np.log(np.full((200, 2), 0.5))
    few, many = (shares_bias(scores[:n], np.array([0.9, 0.1])) for n in (20, 200))
    assert few[0] - few[1] < many[0] - many[1]


def test_shares_that_are_met_move_nothing():
    scores = np.log([[0.7, 0.3], [0.3, 0.7]] * 20)
    assert shares_bias(scores, np.array([0.5, 0.5])) == pytest.approx([0, 0])


def test_no_more_labels_can_be_right_than_the_shares_allow():
    assert most_right(np.array([0] * 9 + [1]), np.array([0.5, 0.5])) == pytest.approx(0.6)
