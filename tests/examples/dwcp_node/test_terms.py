"""What a node concludes from etcd's answers."""

import pytest

from examples.dwcp_node.gateway import Header, Holder, View
from examples.dwcp_node.terms import LOOK_ROUND, WentBack, Witness, seconds_of, usable_until


def view(revision, leader=None, *, cluster=7, lease=5):
    holder = leader and Holder(f"dwcp/{lease:x}".encode(), leader, lease, "a#1")
    return View(Header(cluster, revision, 2), holder, None)


def test_a_lease_is_used_for_less_than_its_time_from_when_its_renewal_was_sent():
    assert usable_until(100.0, 2) == pytest.approx(101.8)  # clocks may differ by a tenth


@pytest.mark.parametrize(("lease", "seconds"), [(1.5, 1), (2, 1), (2.5, 2), (3, 2), (60, 59)])
def test_etcd_is_asked_for_a_lease_that_has_ended_in_time(lease, seconds):
    assert seconds_of(lease) == seconds
    assert seconds_of(lease) + LOOK_ROUND <= lease


def test_an_etcd_whose_revisions_grow_is_believed():
    witness = Witness()
    for revision, leader in [(10, None), (12, 11), (12, 11), (20, 15), (21, None), (22, 22)]:
        witness.look(view(revision, leader), 0)
    assert witness.revision == 22


def test_a_revision_lower_than_one_seen_before_is_refused():
    witness = Witness()
    witness.look(view(20, 15), 0)
    with pytest.raises(WentBack, match="revision 19, and this node has seen 20"):
        witness.look(view(19), 0)
    assert witness.revision == 20


def test_a_revision_lower_than_the_store_has_seen_is_refused():
    with pytest.raises(WentBack, match="revision 19, and this node has seen 30"):
        Witness().look(view(19), 30)


def test_a_leader_older_than_the_leader_before_is_refused():
    witness = Witness()
    witness.look(view(20, 15), 0)
    with pytest.raises(WentBack, match="leader has revision 14"):
        witness.look(view(21, 14), 0)
    with pytest.raises(WentBack, match="leader has revision 14"):
        Witness().look(view(21, 14), 15)


def test_two_leaders_with_one_revision_are_refused():
    witness = Witness()
    witness.look(view(20, 15, lease=5), 0)
    with pytest.raises(WentBack, match="two leaders"):
        witness.look(view(20, 15, lease=6), 0)


def test_another_etcd_is_refused_though_its_revisions_are_higher():
    witness = Witness()
    witness.look(view(20, 15), 0)
    with pytest.raises(WentBack, match="restart the node"):
        witness.look(view(900, 800, cluster=8), 0)


def test_an_etcd_that_has_grown_beyond_what_was_seen_is_believed_again():
    witness = Witness()
    witness.look(view(20, 15), 0)
    with pytest.raises(WentBack):
        witness.look(view(12), 0)
    witness.look(view(21, 21), 20)
    assert witness.revision == 21


@pytest.mark.parametrize("revision", [3, 4])
def test_to_lead_takes_a_revision_above_all_that_were_seen(revision):
    with pytest.raises(WentBack, match="and this node has seen 4"):
        Witness.need_above(revision, 4)
    Witness.need_above(5, 4)
