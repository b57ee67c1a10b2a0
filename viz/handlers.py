"""What the page, the HTTP routes and the command line call: plain functions, no Gradio, no model.

Choosing and looking live in `viz.choices` and `viz.look`; here they are offered together with the downloads.
"""

from viz.choices import check_choice, first_choice, step
from viz.look import look

__all__ = ["check_choice", "first_choice", "look", "step"]
