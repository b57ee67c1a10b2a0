"""How the page looks: style sheets, scripts and the one dict of settings that every way of serving it is given.

Reads the files of `assets` when asked, once; knows no engine, no session and no listener. No text of a visitor may go
into a template: Gradio evaluates what stands between `${` and `}` in it even after escaping, so templates are fixed
and scripts set all text as text.
"""

import functools
import re
from pathlib import Path
from typing import Any

import gradio as gr

ASSETS = Path(__file__).parent / "assets"
STAGE_SCRIPTS = (
    "dom.js",
    "words.js",
    "maps.js",
    "where.js",
    "rooms.js",
    "stage.js",
    "box.js",
    "compare.js",
    "aids.js",
    "inquiries.js",
    "grids.js",
    "numbers.js",
    "evidence.js",
    "matter.js",
    "dependence.js",
    "strength.js",
    "parts.js",
    "study.js",
    "dataset.js",
    "acts.js",
)
STYLES = ("page.css", "stage.css", "evidence.css", "matter.css", "strength.css", "aids.css", "dataset.css")

_HEAD = """<meta name="color-scheme" content="light dark">
<meta name="description" content="See where a Qwen3-VL model and its LoRA adapters look, for every token.">"""

# Runs before the first paint of the page's own parts; a visitor's choice of theme outlives the visit.
_SCRIPT = """() => {
  const wish = localStorage.getItem("lav-theme");
  if (wish) document.body.classList.toggle("dark", wish === "dark");
}"""

FONTS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Arial", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


@functools.cache
def asset(name: str) -> str:
    """The text of one file of `assets`."""
    return (ASSETS / name).read_text(encoding="utf-8")


def template(name: str) -> str:
    """The text of a template, with those that it names as `<!-- other.html -->` in their places."""
    return re.sub(r"<!-- (\w+\.html) -->", lambda found: template(found[1]), asset(name))


def script(*names: str, root: str) -> str:
    """Scripts joined into the one that a component runs on load; `root` selects the element they work in."""
    return "\n".join([f"const root = element.querySelector({root!r});", *(asset(name) for name in names)])


def look_and_feel() -> dict[str, Any]:
    """What both `launch()` and `mount_gradio_app()` are given, so that the page is the same either way.

    Nothing is recorded in the visitor's browser (`run_history`), and no font is fetched from elsewhere.
    """
    theme = gr.themes.Default(
        primary_hue="blue",
        secondary_hue="blue",
        neutral_hue="slate",
        font=FONTS,
        font_mono=MONO_FONTS,
        radius_size="md",
        text_size="sm",
        spacing_size="sm",
    )
    # In the head, since Gradio rewrites the selectors of `css`, and then no rule reaches the frame of the page; inside
    # its container twice named, so that they outweigh the theme's rules for bare elements.
    inner = "\n".join(asset(name) for name in STYLES)
    styles = f"{asset('frame.css')}\n.gradio-container.gradio-container {{\n{inner}\n}}\n"
    return {
        "theme": theme,
        "js": _SCRIPT,
        "head": f"{_HEAD}\n<style>\n{styles}</style>",
        "footer_links": ["api"],
        "run_history": False,
        "show_error": False,
        "ssr_mode": False,
    }
