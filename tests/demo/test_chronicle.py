import pytest

from holdfast.demo.chronicle import KEPT_ENTRIES, KEPT_OUTAGES, Chronicle, Outage

ONE_OUTAGE = (
    ("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("open", "half-open"),
    ("half-open", "closed"),
)  # fmt: skip


def test_entries_are_numbered_in_their_order():
    chronicle = Chronicle()
    chronicle.note(5, "phase", "slow")
    chronicle.transition(7, "closed", "open")
    assert [tuple(entry) for entry in chronicle.since(0)] == [
        (0, 5, "phase", "slow"),
        (1, 7, "breaker", "closed → open"),
    ]
    assert [entry.number for entry in chronicle.since(1)] == [1]
    assert chronicle.since(2) == []


def test_old_entries_go_and_their_numbers_are_not_given_again():
    chronicle = Chronicle()
    for at_ns in range(KEPT_ENTRIES + 3):
        chronicle.note(at_ns, "phase", "")
    kept = chronicle.since(0)
    assert (kept[0].number, kept[-1].number) == (3, KEPT_ENTRIES + 2)


@pytest.mark.parametrize(("changes", "closed_ns"), [(5, 4), (4, None)])
def test_an_outage_lasts_from_leaving_closed_to_closing(changes, closed_ns):
    chronicle = Chronicle()
    for at_ns, (old, new) in enumerate(ONE_OUTAGE[:changes]):
        chronicle.transition(at_ns, old, new)
    assert chronicle.outages() == [Outage(opened_ns=0, half_opened=2, closed_ns=closed_ns)]


def test_every_transition_is_counted_also_when_its_outage_is_no_longer_kept():
    chronicle = Chronicle()
    for cycle in range(KEPT_OUTAGES + 5):
        for old, new in ONE_OUTAGE:
            chronicle.transition(cycle, old, new)
    assert len(chronicle.outages()) == KEPT_OUTAGES
    assert chronicle.outages()[0].opened_ns == 5
    assert chronicle.counts() == {
        ("closed", "open"): 15,
        ("open", "half-open"): 30,
        ("half-open", "open"): 15,
        ("half-open", "closed"): 15,
    }


def test_a_transition_without_an_opening_before_it_is_counted_and_no_outage():
    chronicle = Chronicle()
    chronicle.transition(0, "forced-open", "closed")
    assert chronicle.outages() == []
    assert chronicle.counts().total() == 1
