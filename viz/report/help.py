"""How a report is read, in short plain words, for the HTML file and the page alike."""

HELP = (
    (
        "What was done",
        "A line is a picture and a question. Each was put to every variant twice: for its own answer, and saying the "
        "base's words, so that each token means the same in all of them. Right and wrong, whether the answer is "
        "another one, and what hiding the box costs are of the own answers; all else is of the same words.",
    ),
    (
        "Numbers and intervals",
        "n is over how many lines a mean was taken. The bar shows the mean as a dot and the 95 % interval as a band: "
        "drawing other pictures of the same kind would mostly give a mean in there. Of very few pictures there is "
        "none. Where two intervals are far apart, the difference is no accident of these pictures. An upright line "
        "in a bar is what to read it against, such as chance.",
    ),
    (
        "Maps",
        "How much of all attention went to each cell, mean over the answer's tokens, all layers and all heads. All "
        "maps of a set share one scale and all differences another; both are printed. Red: more than the base; blue: "
        "less. A cell is no finer than the model's own grid.",
    ),
    (
        "Right, wrong, hit",
        "A hit: the middle of the map's brightest cell lies in the box. Chance is what the boxes cover of their "
        "pictures; a head that always looks at one place hits as often in the box of another picture. A hit is "
        "agreement with the box, and no proof that the box was used. The best head is the one that hits most; the "
        "calibrated one was chosen on other pictures, without any box.",
    ),
    (
        "Does it matter",
        "Nothing outside the box may look at it, in any layer, and the variant's own answer is said again. What its "
        "log-probability loses is the cost, in nats: 0.7 nats halve a probability. Under half a nat, or no more than "
        "random boxes cost, counts as no need found. That does not prove that there is none.",
    ),
    (
        "Heads that changed",
        "Each head's share on the picture, variant less base, mean over lines. p: how often as large a mean comes from "
        "flipping the signs of pictures by chance. Corrected p counts that many heads were tried; at most 0.05 "
        "is called changed, and framed in the chart.",
    ),
    (
        "What it cannot tell",
        "Attention is where a model looked, not why it answered. Figures hold for these pictures and questions, and "
        "for others like them at best.",
    ),
)
"""Headings and texts."""
