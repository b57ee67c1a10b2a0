"""The errors that a person can mend, and nothing else.

VisualizerError
├── PictureError        a picture that cannot be read, or not within the limits
├── QuestionError       a question, a system prompt or words to force that cannot be asked
├── SettingsError       a scale, a limit, a choice or a combination that is not allowed
├── AdapterError        an adapter that is missing, damaged, or for another model
├── ModelError          a model folder or hub name that cannot be loaded
├── GeometryError       vision tokens and picture grid that do not belong together
├── SessionError        a stored session that is damaged, newer than this program, or gone
└── BusyError           all places are taken; trying again later helps

Each says, in one sentence, what was expected, what arrived and what to do. They hold strings alone, so they
cross from process to process by pickle and arrive as what they were. This module imports nothing.
"""


class VisualizerError(Exception):
    """Base of all errors meant for the eyes of a visitor: `expected ..., got ...: remedy.`"""

    def __init__(self, expected: str, arrived: str, remedy: str) -> None:
        super().__init__(expected, arrived, remedy)
        self.expected = expected
        self.arrived = arrived
        self.remedy = remedy

    def __str__(self) -> str:
        return f"Expected {self.expected}, got {self.arrived}: {self.remedy}."


class PictureError(VisualizerError):
    """A picture that cannot be read, or lies outside the limits."""


class QuestionError(VisualizerError):
    """A question, a system prompt or words to force that cannot be asked."""


class SettingsError(VisualizerError):
    """A scale, a limit, a choice or a combination of them that is not allowed."""


class AdapterError(VisualizerError):
    """An adapter that is missing, damaged, or made for another model."""


class ModelError(VisualizerError):
    """A model folder or hub name that cannot be loaded."""


class GeometryError(VisualizerError):
    """Vision tokens and a picture grid that do not belong together."""


class SessionError(VisualizerError):
    """A stored session that is damaged, newer than this program, or gone."""


class BusyError(VisualizerError):
    """All places are taken; trying again later helps."""
