"""A report from what was asked so far: the summaries, and in sentences how their figures came to be."""

from datetime import UTC, datetime

from inference.errors import SettingsError
from inference.study.ask import Options
from inference.study.report import FEWEST, Part, Report
from inference.study.run import Study
from inference.study.statistics import FLIPS, RESAMPLES
from inference.study.summary import SURE, summarise_set


def make_report(data: Study, general: Study | None, options: Options) -> Report:
    """The report; a study that was interrupted is told as far as it came.

    Raises:
        SettingsError: nothing was asked yet.
    """
    records = [*data.records, *(general.records if general else ())]
    if not data.records:
        raise SettingsError("at least one line that was asked", "none", "let the study run for a while")
    adapters = {facts.name: facts for record in records for facts in record.adapters}
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=records[0].model,
        adapters=tuple(adapters.values()),
        variants=tuple(variant.label for variant in options.variants),
        settings=_settings(data, general, options),
        seed=options.seed,
        resamples=RESAMPLES,
        data=_part(data, options),
        general=_part(general, options) if general else None,
        methods=_methods(options),
        notes=_notes(data, general),
    )


def _settings(data: Study, general: Study | None, options: Options) -> tuple[tuple[str, str], ...]:
    """What was asked for, in words."""
    draws, pixels = options.draws, options.max_pixels
    return (
        ("data", data.lines.name),
        ("general questions", general.lines.name if general else "none"),
        ("adapters", ", ".join(variant.label for variant in options.variants if not variant.is_base)),
        ("longest answer", f"{options.generation.max_new_tokens} tokens"),
        ("largest area of the resized picture", f"{pixels:,} px" if pixels else "the model's own"),
        ("knock-out", "no" if draws is None else f"of the box, beside at most {draws} random boxes"),
        ("seed", str(options.seed)),
    )


def _part(study: Study, options: Options) -> Part:
    return summarise_set(
        study.lines.name,
        study.records,
        study.skipped,
        lines=len(study.lines.lines) + len(study.lines.skipped),
        variants=[variant.label for variant in options.variants],
        seed=options.seed,
    )


def _methods(options: Options) -> tuple[str, ...]:
    told = [
        "Maps, shares and probabilities are over the base's own answer, which every variant was made to say; a map is "
        "the mean over its tokens, and, unless a head is named, over all layers and heads.",
        "An answer is right if it is one of those expected, upper and lower case, punctuation and articles left aside.",
        f"Intervals hold 95 %: percentiles of {RESAMPLES:,} bootstrap means over pictures, seed {options.seed}; lines "
        "about one picture are drawn together. An interval of no width says that all pictures gave the same, not that "
        f"others would. Under {FEWEST} pictures there are no intervals and no tests.",
        "Heads: had the adapter changed nothing, the changes of a picture would be as likely with the other sign. All "
        f"ways of flipping the signs are tried for up to 14 pictures, else {FLIPS:,} at random. Corrected p: how often "
        f"the largest statistic of all heads reaches this head's, so that at {SURE:g} the chance of even one false "
        "head is 5 %.",
        "A hit: the middle of the brightest cell lies in the box. Chance: the part of the picture that the box covers, "
        "and the same peaks against the next picture's box. The best head is chosen on one half of the pictures and "
        "told of the other; the calibrated one was chosen without boxes, on other pictures, by how much its map tells "
        "about which picture it is.",
    ]
    if options.draws is not None:
        told.append(
            f"Knock-out: no token outside the box may look at its cells, in any layer; beside it at most "
            f"{options.draws} random boxes of the same size. An answer depends on the box if its log-probability falls "
            "by at least 0.5 nats and by more than with any of these. A map agrees if it points there just then."
        )
    return tuple(told)


def _notes(data: Study, general: Study | None) -> tuple[str, ...]:
    notes = []
    models = {record.model for study in (data, general) if study for record in study.records}
    if len(models) > 1:
        told = sorted(f"{facts.dtype} on {facts.device}" for facts in models)
        notes.append(f"The lines were not all asked alike: {', '.join(told)}.")
    return tuple(notes)
