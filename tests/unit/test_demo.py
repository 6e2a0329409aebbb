"""What the demo prints, and the picture of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from examples import demo, record_demo

TIMES = {"scanned": 1, "uploaded": 158, "fetched": 242, "applied": 399}


def test_where_a_saves_time_went_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    demo.tell_applied({"times_ms": TIMES})

    assert capsys.readouterr().out == (
        "✓ Applied after 399 ms: checked and pushed in 158 ms, fetched by Flux in 84 ms, applied in 157 ms.\n"
    )


def test_the_demo_is_in_colours_on_a_terminal_and_plain_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.hold("It holds.")
    plain = capsys.readouterr().out
    monkeypatch.setattr(
        demo, "console", Console(force_terminal=True, color_system="standard", no_color=False)
    )
    demo.hold("It holds.")

    assert plain == "✓ It holds.\n"
    assert "\x1b[32m✓" in capsys.readouterr().out


def test_an_expectation_that_does_not_hold_ends_the_demo() -> None:
    with pytest.raises(demo.Failed, match="This did not hold: There is a Deployment"):
        demo.expect("There is a Deployment.", is_so=False)


def test_the_picture_of_a_recording_fetches_nothing(tmp_path: Path) -> None:
    record_demo.draw("\x1b[1mA step\x1b[0m\r\nplain\r\n", tmp_path / "demo.svg")

    picture = (tmp_path / "demo.svg").read_text()
    assert "A&#160;step" in picture
    assert "url(http" not in picture
    assert "@font-face" not in picture
