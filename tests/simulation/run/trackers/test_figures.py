import io

from matplotlib import image

from simulation.run.trackers.figures import EPSILON, RECALL, run_figures
from tests.simulation.run.test_records import SUMMARY, record

LINES = [
    record(round=1, completed=1, epsilon=1.0, held_out={"top1_recall": 0.2, "top3_recall": 0.3}).as_line(),
    record(round=2, completed=1, abandoned="why").as_line(),
    record(round=3, completed=2, epsilon=1.5, held_out={"top1_recall": 0.25, "top3_recall": 0.35}).as_line(),
]


def is_drawn(png):
    pixels = image.imread(io.BytesIO(png), format="png")
    return pixels.shape[0] > 200 and pixels.shape[1] > 500 and pixels.std() > 0.01


def test_both_figures_are_drawn_the_same_each_time():
    figures = run_figures(LINES, {"top1_recall": 0.1, "top3_recall": 0.2}, SUMMARY.baselines)
    assert list(figures) == [RECALL, EPSILON] and all(map(is_drawn, figures.values()))
    assert run_figures(LINES, {"top1_recall": 0.1, "top3_recall": 0.2}, SUMMARY.baselines) == figures
    assert run_figures(LINES, {}, SUMMARY.baselines)[RECALL] != figures[RECALL]  # without its first point


def test_a_figure_without_a_value_is_left_out():
    assert run_figures(LINES[1:2], {}, SUMMARY.baselines) == {}
    assert list(run_figures(LINES[1:2], {"top1_recall": 0.1}, SUMMARY.baselines)) == [RECALL]
