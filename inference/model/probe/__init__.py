"""Trials with the model: the same words in single passes, each with one thing changed on purpose.

`stage` holds the question and makes passes, `blocks` is the attention in them, `run` orders them. What needs passes of
its own stands beside: `exchange` (pieces from another variant's run) and `reasons` (why a row turned). Each of these
offers two functions, which `run` calls with the stage open:

    count_passes(stage, trials) -> int
    run_exchanges(stage, trials, watch) -> Generator[None, None, list[Outcome]]

and, for reasons, `count_passes(stage, reasons)` and `run_reasons(stage, reasons) -> Generator[None, None,
list[Shares]]`. The generators pause after each pass of `Stage.forward`, as often as was counted, and return what came
out in the order of what they were given.
"""
