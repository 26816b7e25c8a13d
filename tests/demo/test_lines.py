import io

from holdfast.demo.chronicle import Chronicle
from holdfast.demo.lines import LineDisplay, status_line, write
from holdfast.demo.scene import Trail
from holdfast.demo.schedule import NS
from tests.demo.scenes import scene_at


class Stream(io.StringIO):
    """A text stream with an encoding of its own that counts how often it was flushed."""

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding
        self.flushed = 0

    @property
    def encoding(self):
        return self._encoding

    def flush(self):
        self.flushed += 1
        super().flush()


def test_what_happened_is_written_once_in_its_order():
    out, chronicle = Stream(), Chronicle()
    with LineDisplay(out) as display:
        chronicle.note(0, "phase", "healthy")
        display.show(scene_at(NS // 2, chronicle=chronicle))
        chronicle.transition(NS // 4, "closed", "open")
        display.show(scene_at(NS // 2, chronicle=chronicle))
        display.show(scene_at(NS // 2, chronicle=chronicle))
    assert out.getvalue().splitlines() == [
        "   0.00 s  phase     healthy",
        "   0.25 s  breaker   closed → open",
    ]


def test_the_figures_are_written_once_a_second():
    out, nothing = Stream(), Chronicle()
    display = LineDisplay(out)
    for tenth in range(1, 36):
        display.show(scene_at(tenth * NS // 10, chronicle=nothing))
    assert [line[:9] for line in out.getvalue().splitlines()] == [
        "   1.00 s",
        "   2.00 s",
        "   3.00 s",
    ]


def test_a_reader_follows_line_by_line():
    out = Stream()
    LineDisplay(out).show(scene_at(NS))
    assert out.flushed == len(out.getvalue().splitlines())


def test_a_line_shows_both_sides_over_the_last_second():
    trail = Trail()
    scene_at(5 * NS, trail=trail)
    line, *_ = status_line(scene_at(6 * NS, trail=trail)).split(" | retries")
    assert line == (
        "   6.00 s  slow      unguarded:    0 good/s   2 wasted/s | "
        "guarded:    0 good/s   0 wasted/s   2 rejected/s"
    )


def test_a_line_ends_with_what_the_retries_did_so_far():  # RT-22
    assert status_line(scene_at(6 * NS)).endswith(
        " | retries 74, recovered 46, timeouts 3, budget 12.3 of 20"
    )


def test_a_line_names_the_phase_of_the_second_it_is_about():
    assert status_line(scene_at(4 * NS)).split()[2] == "flaky"


def test_signs_that_an_encoding_lacks_are_spelt_in_ascii():
    out = Stream("latin-1")
    write(out, "closed → open – 850 µs")
    assert out.getvalue() == "closed -> open - 850 us\n"


def test_signs_are_kept_where_they_can_be_written():
    out = Stream("UTF-8")
    write(out, "closed → open – 850 µs")
    assert out.getvalue() == "closed → open – 850 µs\n"
