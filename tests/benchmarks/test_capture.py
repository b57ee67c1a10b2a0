"""The benchmark of capture: its arithmetic on hand-made values, and the whole of it on a tiny model."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import capture_lockstep, capture_rounds, capture_slopes, made
from benchmarks.capture import figures, print_rest, print_size, rounds_for
from benchmarks.capture_click import measure_clicks
from benchmarks.capture_figure import draw
from benchmarks.capture_inline import capturing_inline
from benchmarks.capture_rounds import Rounds, measure, order, slope, take_turns
from benchmarks.capture_slopes import measure_alone, slopes
from benchmarks.capture_ways import WAYS, Cost, attending_eagerly, converse, cost_of, eager_rows, watched, write
from benchmarks.shapes import ANSWER, QUESTION, Question, ask, build
from inference.model.capture import capturing
from inference.model.load import LoadedModel
from inference.trace.files import save_session
from tests.benchmarks.test_shapes import CPU, TINY
from tests.fakes import make_session

LISTS = ("sizes", "overhead", "eager_over_plain", "peak_extra_mb", "eager_extra_mb", "kept_mb", "exact", "stored_loss")
NUMBERS = ("memory_slope", "time_slope", "read_mb_per_click", "mini_overhead")


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    torch.set_num_threads(1)
    return build(TINY, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def question(loaded: LoadedModel) -> Question:
    return ask(loaded.model.config, (5, 7), device=CPU)


def test_the_whole_benchmark_runs_on_a_tiny_model(
    loaded: LoadedModel, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [
        measure(loaded, asked, ("plain", "ours", "eager"), rounds=2, beside=2)
        for asked in (question, ask(loaded.model.config, (3, 2), device=CPU))
    ]
    monkeypatch.setattr(made, "write_huge_session", lambda folder: save_session(make_session(), folder))
    clicked = measure_clicks(3)
    alone = measure_alone(TINY, CPU, (50, 100))
    print_rest(alone, clicked, sizes[0])
    told = json.loads(json.dumps(figures(sizes, alone, clicked, sizes[1])))
    assert len(clicked.clicks) == 3 and clicked.session > 10_000
    assert tuple(told) == (*LISTS, *NUMBERS)
    assert all(len(told[name]) == 2 for name in LISTS)
    assert told["sizes"] == [78, 49]
    assert all(0 < error <= 1e-5 for error in told["exact"])
    assert all(1e-6 < loss < 2**-11 for loss in told["stored_loss"])
    assert len(draw(told).axes[0].patches) == 4


def test_all_rows_means_and_sums_are_on_the_disk(loaded: LoadedModel, question: Question) -> None:
    taken = take_turns(loaded, question, {"plain": WAYS["plain"], "ours": WAYS["ours"]}, rounds=1, every={})
    tokens, layers, heads, keys = QUESTION + ANSWER, 3, 6, question.length
    halves = tokens * keys * (layers * heads + layers + heads + 1)
    sums = tokens * layers * heads * 4
    assert 0 <= taken.kept["ours"] - (2 * halves + 4 * sums) <= 5 * 256
    assert taken.kept["plain"] == 0


def test_rows_made_inside_the_attention_are_those_made_after_the_run(
    loaded: LoadedModel, question: Question, tmp_path: Path
) -> None:
    found = []
    for number, context in enumerate((capturing, capturing_inline)):
        with context(loaded.model, **watched(question)) as recorder:
            converse(loaded, question)
        found.append(write(recorder, question, tmp_path, numbers="float32", number=number))
    assert np.abs(found[0].rows - found[1].rows).max() < 1e-6
    assert np.allclose(found[1].rows.sum(-1), 1, atol=1e-5)
    assert loaded.text_config._attn_implementation == "sdpa"


def test_eager_attention_is_switched_off_again(loaded: LoadedModel, question: Question) -> None:
    with attending_eagerly(loaded) as (watching, attentions):
        converse(watching, question)
    assert loaded.text_config._attn_implementation == "sdpa"
    assert [len(step) for step in attentions] == [3] * ANSWER
    assert attentions[0][2].shape == (1, 6, len(question.ids), len(question.ids))


def test_rows_are_taken_out_of_full_attentions() -> None:
    # Two passes of 3 and 1 queries, 2 layers, 2 heads; a weight tells layer, head, query and key by its digits.
    def weights(layer: int, first: int, stop: int) -> torch.Tensor:
        made = [
            [[1000 * layer + 100 * head + 10 * at + key for key in range(stop)] for at in range(first, stop)]
            for head in range(2)
        ]
        return torch.tensor([made], dtype=torch.float32)

    attentions = [tuple(weights(layer, *bounds) for layer in range(2)) for bounds in ((0, 3), (3, 4))]
    rows = eager_rows(attentions, [1, 3], keys=5)
    assert rows.shape == (2, 2, 2, 5)
    assert rows[0, 1, 0].tolist() == [1010, 1011, 1012, 0, 0]
    assert rows[1, 0, 1].tolist() == [130, 131, 132, 133, 0]


def test_ratios_are_taken_within_a_round_and_told_as_medians() -> None:
    def costs(*pairs: tuple[int, float, int]) -> Mapping[int, Cost]:
        return {number: Cost(seconds, peak) for number, seconds, peak in pairs}

    rounds = Rounds(
        {
            "plain": costs((0, 2.0, 10), (1, 4.0, 20), (2, 100.0, 30)),
            "ours": costs((0, 2.2, 11), (1, 4.2, 25), (2, 101.0, 30)),
            "eager": costs((0, 3.0, 70), (2, 300.0, 110)),
        },
        {},
    )
    assert rounds.seconds("plain") == 4.0
    assert rounds.ratio("ours") == pytest.approx(1.05)
    assert rounds.ratio("eager") == pytest.approx(2.25)
    assert rounds.extra_bytes("ours") == 1
    assert rounds.extra_bytes("eager") == 70


def test_each_way_leads_as_often_as_it_ends() -> None:
    orders = [order(("a", "b", "c"), number) for number in range(6)]
    assert sorted(one[0] for one in orders) == sorted(one[-1] for one in orders) == ["a", "a", "b", "b", "c", "c"]
    assert sum(one.index("a") < one.index("b") for one in orders) == 3


def test_ways_that_end_with_other_words_are_not_compared(loaded: LoadedModel, question: Question) -> None:
    ways = {"plain": WAYS["plain"], "ours": lambda *_: (1, 2)}
    with pytest.raises(RuntimeError, match="other tokens"):
        take_turns(loaded, question, ways, rounds=1, every={})


def test_eager_attention_that_does_not_fit_is_left_out(
    loaded: LoadedModel, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_rounds, "free_bytes", lambda device: 10**5)
    size = measure(loaded, question, ("plain", "ours", "eager"), rounds=1, beside=1)
    assert size.exact is None and "eager" not in size.rounds.costs
    assert size.stored_loss > 0
    print_size(size)


def test_the_slope_is_the_power() -> None:
    lengths = (100, 200, 700)
    assert slope(lengths, [3 * length**2 for length in lengths]) == pytest.approx(2)
    assert slope(lengths, [5.0, 5.0, 5.0]) == pytest.approx(0)


def test_the_bytes_of_the_rows_alone_are_queries_memory_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_slopes, "REPEATS", 1)
    short, long = measure_alone(TINY, CPU, (60, 600))
    assert short.queries == long.queries == 32 * 3 * 6 * 16 * 4
    assert 5 < long.files / short.files < 10.5
    assert long.bytes == long.queries + long.memory + long.files
    assert all(isinstance(power, float) for power in slopes((short, long)))


def test_a_cost_is_told_with_what_the_work_gave() -> None:
    cost, given = cost_of(lambda: "given", CPU)
    assert given == "given"
    assert cost.seconds > 0


def test_short_runs_are_repeated_most() -> None:
    assert [rounds_for(length, quick=True) for length in (600, 2_300)] == [(1, 8), (1, 2)]
    assert [rounds_for(length, quick=False) for length in (600, 2_300, 4_600)] == [(10, 23), (2, 6), (2, 5)]


def test_each_pass_is_timed_for_its_own_run_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(capture_lockstep, "_now", lambda device: float(next(clock)))
    # Two steps and the end against three steps and the end; each is asked between two ticks of the clock.
    assert capture_lockstep._side_by_side([iter([None] * 2), iter([None] * 3)], CPU) == [3, 4]


def test_without_room_for_two_models_the_runs_alone_are_told(
    loaded: LoadedModel, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_lockstep, "free_bytes", lambda device: 10**4)
    size = measure(loaded, question, ("plain", "ours"), rounds=1, beside=2)
    assert size.side_by_side == () and size.overhead == size.rounds.ratio("ours")


def test_a_run_beside_another_writes_what_it_keeps(loaded: LoadedModel, question: Question, tmp_path: Path) -> None:
    steps = len(list(capture_lockstep._watched_passes(loaded, question, tmp_path)))
    assert steps == len(list(capture_lockstep._passes(loaded, question))) + 1
    assert (tmp_path / "rows-0.npy").stat().st_size > 10_000
    assert loaded.text_config._attn_implementation == "sdpa"


def test_a_figure_says_where_there_was_no_room() -> None:
    told = {
        "sizes": [600, 4_600],
        "overhead": [1.01, 0.999],
        "eager_over_plain": [1.5, None],
        "peak_extra_mb": [1.0, -2.0],
        "eager_extra_mb": [70.0, None],
    }
    texts = [text.get_text() for text in draw(told).axes[0].texts]
    assert texts == ["1 %", "-0.1 %", "50 %", "no room"]
