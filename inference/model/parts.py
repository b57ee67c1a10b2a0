"""Which of an adapter's modules a switch leaves on, by their places in the model. Knows names alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.evidence.trials import KIND_OF_MODULE, Switch
from inference.weights.places import Place


@dataclass(frozen=True)
class Parts:
    """What is on: each adapter's name on the model, its scale, and the places where it is; none where there are none.

    Equal parts make the same model.
    """

    on: tuple[tuple[str, float, tuple[Place, ...]], ...] = ()

    @property
    def seeing(self) -> "Parts":
        """Those of the vision tower alone."""
        return Parts.of(
            (inner, scale, [place for place in places if place.tower == "vision"]) for inner, scale, places in self.on
        )

    @classmethod
    def of(cls, on: Iterable[tuple[str, float, Sequence[Place]]]) -> "Parts":
        """The parts of adapters, without those that are on nowhere."""
        return cls(tuple((inner, scale, tuple(places)) for inner, scale, places in on if places))


def is_on(place: Place, switch: Switch | None) -> bool:
    """Whether an adapter's module at this place stays on under the switch; None: all do."""
    return switch is None or _is_meant(place, switch) == switch.keep


def _is_meant(place: Place, switch: Switch) -> bool:
    kind = "vision" if place.tower == "vision" else KIND_OF_MODULE.get(place.module)
    if switch.kinds is not None and kind not in switch.kinds:
        return False
    if switch.layers is None:
        return True
    return place.tower == "text" and place.layer in switch.layers
