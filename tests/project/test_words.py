"""The project is written in plain English: odd constructions are counted, and stay rare."""

import pytest

from tests.project import words
from tests.project.words import Text, plain

# Odd constructions in 10,000 words. The ceilings may only fall.
USERS = 15
CONTRIBUTORS = 170


def too_odd(texts, ceiling):
    found = [odd for text in texts for odd in text.odd()]
    return found if words.rate(texts) > ceiling else []


def test_what_users_read_is_in_plain_english():
    assert too_odd(words.read_by_users(), USERS) == []


def test_the_language_for_contributors_becomes_no_odder():
    assert words.rate(words.read_by_contributors()) <= CONTRIBUTORS


def test_pages_docstrings_messages_and_help_are_all_counted():
    for texts, least in [
        (words.pages(), 3000),
        (words.public_docstrings(), 6000),
        (words.messages(), 1000),
        (words.all_docstrings(), 15_000),
    ]:
        assert sum(text.words for text in texts) >= least
    everything = "\n".join(text.prose for text in words.read_by_users())
    for part in (
        "a token bucket",  # a docstring
        "already awaited coroutine",  # a message in C
        "end after N seconds",  # the help of the command line
    ):
        assert part in everything


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("Who waits leaves the queue.", "Waiting callers leave the queue."),
        ("What one refuses, the outer take back.", "The outer policies roll back."),
        ("A cut is told from a cancellation.", "A timeout differs from a cancellation."),
        ("Where it raises, the next is called.", "If it raises, the next is called."),
        ("Nobody waits in vain.", "A wait that cannot succeed is refused."),
        ("It is let go.", "It is released."),
        ("Its words may stand in a file.", "Its words may be in a file."),
        ("The tokens there are, stay.", "The available tokens remain."),
        ("Only then does it run.", "It runs after that."),
        ("Not here: waiting.", "Waiting is in another module."),
    ],
)
def test_odd_constructions_are_found_and_plain_sentences_are_not(odd, plain):
    assert Text("", odd).odd()
    assert not Text("", plain).odd()


def test_questions_quoted_code_and_doctests_are_not_counted():
    assert not Text("", plain("Who may share it? Call `who`.\n\n>>> nobody  # told\n")).odd()
