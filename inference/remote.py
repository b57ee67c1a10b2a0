"""The same engine in another process; it is given what to call, and knows neither Modal nor a network."""

from collections.abc import Callable, Generator

from inference.protocol import Progress
from inference.trace.request import Request
from inference.trace.session import AdapterFacts, ModelFacts, Session


class RemoteEngine:
    """An `Engine` whose work is done elsewhere.

    `run` is called with the request and yields what the other side's engine yields; closing its generator must end
    the work there. Errors of `inference.errors` are expected to cross as what they were.
    """

    def __init__(
        self,
        run: Callable[[Request], Generator[Progress | Session, None, None]],
        adapters: Callable[[], tuple[AdapterFacts, ...]],
        *,
        model_name: str,
    ) -> None:
        self._run = run
        self._adapters = adapters
        self._facts: ModelFacts | None = None
        self.model_name = model_name

    def facts(self) -> ModelFacts | None:
        """The facts told by the last session; None before the first, since asking would start a machine."""
        return self._facts

    def adapters(self) -> tuple[AdapterFacts, ...]:
        """What the given callable finds, asked anew each time."""
        return self._adapters()

    def run(self, request: Request) -> Generator[Progress | Session, None, None]:
        """Hands on what the other side yields, and remembers the model's facts."""
        steps = self._run(request)
        try:
            for step in steps:
                if isinstance(step, Session):
                    self._facts = step.model
                yield step
        finally:
            steps.close()
