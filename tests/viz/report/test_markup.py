"""HTML put together: strangers' texts stay text wherever they stand."""

from viz.report.markup import Markup, joined, tag

EVIL = "<script>alert('1')</script>\"&"


def test_text_and_values_are_escaped_and_markup_is_not() -> None:
    made = tag("p", EVIL, tag("b", EVIL), title=EVIL)
    assert "<script" not in made.html
    assert made.html.count("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&quot;&amp;") == 3
    assert made.html.startswith("<p title=")
    assert joined(Markup("<hr>"), "<hr>").html == "<hr>&lt;hr&gt;"


def test_attributes_are_written_as_html_has_them() -> None:
    made = tag("div", class_="a", aria_label="b", data_x=0.5, hidden=True, open=False, title=None, width=3)
    assert made.html == '<div class="a" aria-label="b" data-x="0.5" hidden width="3"></div>'


def test_empty_elements_have_no_end_and_missing_children_leave_nothing() -> None:
    assert tag("p", None, tag("br"), tag("i")).html == "<p><br><i></i></p>"
