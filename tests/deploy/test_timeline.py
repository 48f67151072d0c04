import pytest

from deploy.local.timeline import Bar, bars, draw, duration


@pytest.mark.parametrize(
    ("found", "drawn"),
    [
        ([], []),
        ([Bar("a/0", 0, 2)], ["a/0 │████│  2.00 s"]),
        (
            [Bar("a/write", 0, 1), Bar("a/rank", 1, 2)],
            ["a/write │██  │  1.00 s", "a/rank  │  ██│  1.00 s"],
        ),
        ([Bar("a/0", 0, 1), Bar("b/0", 0, 2)], ["a/0 │██  │  1.00 s", "b/0 │████│  2.00 s"]),
        ([Bar("a/0", 0.25, 1.75), Bar("b/0", 1.75, 2)], ["a/0 │▐██▌│  1.50 s", "b/0 │   ▐│  250 ms"]),
        ([Bar("a/0", 0, 2), Bar("b/0", 2, 2)], ["a/0 │████│  2.00 s", "b/0 │   ▐│ <0.1 ms"]),
        ([Bar("a/0", 0, 0)], ["a/0 │▌   │ <0.1 ms"]),
    ],
    ids=["nothing", "one", "in turn", "at once", "half cells", "too short", "no time at all"],
)
def test_bars_are_drawn_on_one_scale(found, drawn):
    assert draw(found, width=4) == drawn


def test_each_property_has_its_colour_and_a_failure_is_red():
    lines = draw([Bar("a/0", 0, 1), Bar("a/1", 0, 1), Bar("b/0", 0, 1), Bar("c/0", 0, 1, passed=False)], coloured=True)

    colours = [line.partition("│\x1b[")[2][:2] for line in lines]
    assert colours[0] == colours[1] != colours[2]
    assert colours[3] == "31"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "<0.1 ms"), (0.00042, "0.4 ms"), (0.152, "152 ms"), (0.9999, "1.00 s"), (61, "61.00 s")],
)
def test_durations_are_written_as_people_say_them(seconds, written):
    assert duration(seconds) == written


def test_bars_of_a_report_start_with_the_execution_and_stand_in_order():
    def layer(path, start, end, state="passed"):
        times = [text and f"2026-01-01T00:00:{text}Z" for text in (start, end)]
        return {"path": path, "state": state, "started_at": times[0], "ended_at": times[1]}

    first = {"layers": [layer("a/0", "03", "04.5", "failed"), layer("a/1", None, None, "skipped")]}
    report = {"started_at": "2026-01-01T00:00:01Z", "properties": [first, {"layers": [layer("b/0", "01.5", "02")]}]}

    assert bars(report) == [Bar("b/0", 0.5, 1.0), Bar("a/0", 2.0, 3.5, passed=False)]


def test_what_ran_inside_of_a_layer_has_bars_behind_its_own():
    def layer(path, inside=None):
        times = {"started_at": "2026-01-01T00:00:01Z", "ended_at": "2026-01-01T00:00:02Z"}
        return {"path": path, "state": "passed", **times, "inner": inside and {"layers": inside}}

    layers = [layer("a/each", [layer("a/each[0]/0"), layer("a/each[1]/0")]), layer("a/1")]
    report = {"started_at": "2026-01-01T00:00:01Z", "properties": [{"layers": layers}]}

    assert [bar.path for bar in bars(report)] == ["a/each", "a/each[0]/0", "a/each[1]/0", "a/1"]
