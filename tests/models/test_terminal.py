import io
import logging
import sys

from models.terminal import PrintableFormatter, printable, progress_bars


def test_elsewhere_than_on_a_terminal_bars_are_lines_of_text(monkeypatch):
    """One bar inside another too: the cursor's moves between them stay out of a log."""
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr("models.terminal.SECONDS_BETWEEN_LINES", 0.0)
    with progress_bars(2, "outer", "things") as outer:
        for _ in range(2):
            with progress_bars(3, "inner", "parts") as inner:
                for _ in range(3):
                    inner.update()
            outer.update()

    lines = said.getvalue().splitlines()
    assert all(line.startswith(("outer: ", "inner: ")) for line in lines)
    assert {"outer", "inner"} == {line.split(":")[0] for line in lines}
    assert lines[-1].startswith("outer: 100%")


def test_a_library_function_reports_to_whoever_asks_and_draws_nothing_itself(capsys):
    """`no_progress` is the default; a callback sees each stage with its total."""
    from contextlib import contextmanager

    import numpy as np

    from models.export.pipeline import fit_whitenings
    from tests.golden.make import tiny_model

    stages = {}

    @contextmanager
    def record(total, description, unit, initial=0):
        class Stage:
            def update(self, n=1):
                stages[description] = stages.get(description, initial) + n

            def note(self, text):
                """Not used here."""

        yield Stage()
        assert stages[description] == total

    pixels = np.random.default_rng(0).integers(0, 256, (120, 16, 16, 3), dtype=np.uint8)
    fit_whitenings(tiny_model().eval(), pixels)
    assert capsys.readouterr() == ("", "")
    fit_whitenings(tiny_model().eval(), pixels, record)
    assert stages == {"images to whiten with": 120}


def test_what_a_terminal_would_obey_is_shown_as_an_escape():
    assert printable("Großes Bild, 写真\n\tMIT") == "Großes Bild, 写真\n\tMIT"
    hostile = "\x1b]0;title\x07 \x9b31m \r \x7f \u202eTIM \u2028 \ud800"
    assert printable(hostile) == r"\x1b]0;title\x07 \x9b31m \r \x7f \u202eTIM \u2028 \ud800"


def test_a_log_shows_no_control_characters():
    record = logging.LogRecord("name", logging.WARNING, "file", 1, "%s is broken", ("\x1b[2J",), None)
    assert PrintableFormatter("%(message)s").format(record) == r"\x1b[2J is broken"
