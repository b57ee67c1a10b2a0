"""Trials with the model: the same words in single passes, each with one thing changed on purpose.

`stage` holds the question and makes passes, `blocks` is the attention in them, `sight` the pictures as they are seen,
`run` the order of it all. What needs passes of its own stands beside: `exchange` (pieces from another variant's run)
and `reasons` (why a row turned). Each of these counts its passes, and runs them in a generator that pauses after each.
"""
