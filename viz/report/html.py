"""A report as one HTML file that opens anywhere: no network, pictures inside, light and dark, phone and paper.

It is read without scripts; a short one of its own sorts and filters the pictures. Every text of a stranger is escaped,
and the file's own policy lets nothing else run and nothing be fetched. Knows no Gradio and no model.
"""

import base64
import functools
import hashlib
from pathlib import Path

from inference.study.report import Report
from viz.report.content import report_view
from viz.report.markup import Markup, joined, tag
from viz.report.sections import (
    asked_section,
    general_section,
    heads_section,
    help_section,
    pictures_section,
    short_section,
    summary_section,
)
from viz.report.view import ReportView

ASSETS = Path(__file__).parent / "assets"


def report_html(report: Report) -> str:
    """The whole page as text, to be written as UTF-8."""
    view = report_view(report)
    return f"<!doctype html>\n{tag('html', _head(view), _body(view), lang='en').html}\n"


@functools.cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """What a browser may do with the page: show what is in it, and run this one script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _head(view: ReportView) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(_asset("report.js"))),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", f"{view.title}: {view.data.name}"),
        tag("style", Markup(_asset("report.css"))),
    )


def _body(view: ReportView) -> Markup:
    return tag(
        "body",
        tag(
            "header",
            tag("p", "LoRA Attention Visualizer", class_="over"),
            tag("h1", view.title),
            tag("p", f"{view.data.name}: {view.data.count}. {view.model}, {view.created[:10]}.", class_="soft"),
            _contents(view),
        ),
        tag(
            "main",
            short_section(view),
            summary_section(view),
            heads_section(view),
            pictures_section(view),
            general_section(view),
            help_section(view),
            asked_section(view),
        ),
        tag("script", Markup(_asset("report.js"))),
    )


def _contents(view: ReportView) -> Markup:
    names = {
        "short": "In short",
        "summary": "Figures",
        "heads": "Heads",
        "pictures": "Pictures",
        "general": "General questions",
        "help": "How to read this",
        "asked": "What was asked",
    }
    links = [tag("a", title, href=f"#{name}") for name, title in names.items()]
    return tag("nav", joined(*links), aria_label="Contents")
