import io
import sys

from models.progress import progress


def test_elsewhere_than_on_a_terminal_bars_are_lines_of_text(monkeypatch):
    """One bar inside another too: the cursor's moves between them stay out of a log."""
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr("models.progress.SECONDS_BETWEEN_LINES", 0.0)
    with progress(2, "outer", "things") as outer:
        for _ in range(2):
            with progress(3, "inner", "parts") as inner:
                for _ in range(3):
                    inner.update()
            outer.update()

    lines = said.getvalue().splitlines()
    assert all(line.startswith(("outer: ", "inner: ")) for line in lines)
    assert {"outer", "inner"} == {line.split(":")[0] for line in lines}
    assert lines[-1].startswith("outer: 100%")
