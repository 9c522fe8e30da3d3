"""The digits as images and as texts."""

import numpy as np
import pytest
import reading as sources

from relrep_exp.config.schema import DescribedDigitsData, DigitsData
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.digits import described
from relrep_exp.errors import UserError

CONFIG = DescribedDigitsData(kind="digits_described")


def test_a_word_for_each_run_of_ink():
    image = np.zeros((8, 8), np.uint8)
    image[0, 0] = 96  # one pixel at the left edge
    image[1, 3:5] = 255  # two in the middle
    image[1, 7] = 200  # and one at the right edge
    image[2, 0:5] = 100  # five, whose middle is left of the middle third's end
    image[7, 4:8] = 120
    image[5, :] = 95  # just no ink
    assert described(image, 96) == "aleftdot bmiddlethin brightdot cleftfull hrightwide"
    assert described(np.zeros((8, 8), np.uint8), 96) == ""


def test_the_words_say_which_pixels_have_ink():
    """Read literally, a pixel at a time: as many words as runs, in the order of rows."""
    samples = sources.load(CONFIG, [IMAGE, "en"], True)
    pixels, texts = samples.views[IMAGE].samples, samples.views["en"].samples
    for row in range(0, 1797, 97):
        ink = pixels[row] >= CONFIG.ink
        starts = [
            "abcdefgh"[y] for y in range(8) for x in range(8) if ink[y, x] and (x == 0 or not ink[y, x - 1])
        ]
        assert [word[0] for word in texts[row].split()] == starts


def test_both_views_have_the_rows_labels_and_split_of_the_digits():
    samples = sources.load(CONFIG, [IMAGE, "en"], True)
    digits = sources.load(DigitsData(kind="digits"), [IMAGE], True).views[IMAGE]
    assert samples.parallel
    for view in samples.views.values():
        assert len(view.samples) == len(digits.samples) == 1797
        assert view.labels.equal(digits.labels)
        assert view.is_train.equal(digits.is_train)


def test_the_images_are_those_of_the_digits_and_have_their_identity():
    both = sources.identity(CONFIG, [IMAGE, "en"], True)
    assert both[IMAGE] == sources.identity(DigitsData(kind="digits"), [IMAGE], True)[IMAGE]
    other = DescribedDigitsData(kind="digits_described", ink=128)
    changed = sources.identity(other, [IMAGE, "en"], True)
    assert changed[IMAGE] == both[IMAGE]
    assert changed["en"] != both["en"]


def test_another_language_is_told():
    with pytest.raises(UserError, match="no view 'de'"):
        sources.load(CONFIG, ["de"], True)
