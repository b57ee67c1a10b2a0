"""Why a row turned, against rows worked out by hand from the inputs that eager models hand to their attention."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.catalog import find_adapters
from inference.evidence.reasons import WhyMoved
from inference.evidence.trials import Findings, Probe, Reason, Shares
from inference.model.engine import ModelEngine
from inference.model.load import LoadedModel
from inference.protocol import Progress
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import Keep
from tests.inference.model import asking
from tests.inference.model.conftest import HEAD_DIM, HEADS, KV_HEADS, Room, save_adapter
from tests.inference.model.probe.trying import SAID, make_request, probe
from tests.inference.model.reference import Reference, load_reference

LAYER, HEAD = 2, 4
MODULES = {
    "query": rf".*language_model.layers.{LAYER}.self_attn.q_proj",
    "key": rf".*language_model.layers.{LAYER}.self_attn.k_proj",
    "earlier": rf".*language_model.layers.[0{LAYER - 1}].*(v_proj|o_proj|up_proj)",
    "later": rf".*language_model.layers.({LAYER}.self_attn.[vo]_proj|{LAYER + 1}.*_proj)",
    "whole": r".*language_model.*(q_proj|k_proj|v_proj|down_proj)",
    "seeing": r".*visual.*(qkv|linear_fc1)",
}


@pytest.fixture(scope="module")
def folder(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reasons")
    for seed, (name, pattern) in enumerate(MODULES.items()):
        save_adapter(base_folder, folder / name, seed=seed, target_modules=pattern)
    return folder


@pytest.fixture(scope="module")
def engine(loaded: LoadedModel, folder: Path) -> ModelEngine:
    return ModelEngine(loaded, Settings(), lambda: find_adapters(folder))


@pytest.fixture(scope="module")
def prompt_length(engine: ModelEngine, base_folder: Path) -> int:
    request = make_request()
    length: int = load_reference(base_folder).inputs(request.question, request.images)["input_ids"].shape[1]
    return length


def why(engine: ModelEngine, label: str, row_at: int, *, layer: int = LAYER, head: int = HEAD) -> Shares:
    reason = Reason(SAID, parse_variant(label), row_at, layer, head)
    (shares,) = probe(engine, Probe(make_request(), reasons=(reason,))).shares
    return shares


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("query", (1, 0, 0)),
        ("key", (0, 1, 0)),
        ("earlier", (0, 0, 1)),
        ("seeing", (0, 0, 1)),
        ("query+seeing@0", (1, 0, 0)),
    ],
)
def test_what_alone_was_changed_is_the_whole_reason(
    engine: ModelEngine, prompt_length: int, label: str, expected: tuple[int, ...]
) -> None:
    for row_at in (prompt_length - 1, prompt_length - 4):
        shares = why(engine, label, row_at)
        assert shares.moved > 0.01
        assert (shares.query, shares.key, shares.inputs, shares.rest) == pytest.approx((*expected, 0), abs=1e-9)


@pytest.mark.parametrize("label", ["later", "base", "whole@0"])
def test_a_row_that_nothing_reaches_did_not_move(engine: ModelEngine, prompt_length: int, label: str) -> None:
    assert why(engine, label, prompt_length) == Shares(0, 0, 0, 0, 0)


class ByHand:
    """Rows of one head from queries and keys of either model on the inputs of either."""

    def __init__(self, base: Reference, tuned: Reference, row_at: int, layer: int, head: int) -> None:
        self.weights, self.inputs, self.norms = {}, {}, {}
        self.row_at, self.head = row_at, head
        for name, reference in (("base", base), ("tuned", tuned)):
            module = _attention(reference, layer)
            self.weights[name] = [_merged(module.q_proj), _merged(module.k_proj)]
            self.norms = {"q": module.q_norm.weight, "k": module.k_norm.weight}
            self.inputs[name], self.turns = _handed(reference, module)

    def row(self, query: tuple[str, str], keys: tuple[str, str]) -> np.ndarray:
        """Each is told as (whose projection, whose inputs)."""
        projected = self._heads(self.weights[query[0]][0], query[1], "q")[self.row_at, self.head]
        looked_at = self._heads(self.weights[keys[0]][1], keys[1], "k")[:, self.head * KV_HEADS // HEADS]
        scores = looked_at[: self.row_at + 1] @ projected / HEAD_DIM**0.5
        shares: np.ndarray = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        return shares

    def _heads(self, weight: torch.Tensor, inputs: str, which: str) -> np.ndarray:
        heads = (self.inputs[inputs] @ weight.T).reshape(-1, weight.shape[0] // HEAD_DIM, HEAD_DIM)
        normed = heads / (heads.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * self.norms[which]
        cos, sin = (turn[:, None] for turn in self.turns)
        half = HEAD_DIM // 2
        turned = torch.cat([-normed[..., half:], normed[..., :half]], dim=-1)
        found: np.ndarray = (normed * cos + turned * sin).detach().double().numpy()
        return found


def _attention(reference: Reference, layer: int) -> Any:
    return next(
        module
        for name, module in reference.model.named_modules()
        if name.endswith(f"language_model.layers.{layer}.self_attn")
    )


def _merged(linear: Any) -> torch.Tensor:
    weight: torch.Tensor = linear.weight
    return weight + linear.get_delta_weight("a0") if hasattr(linear, "base_layer") else weight


def _handed(reference: Reference, module: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    noted: dict[str, Any] = {}
    handle = module.register_forward_pre_hook(lambda _, given, named: noted.update(named), with_kwargs=True)
    request = make_request()
    reference.forward(reference.inputs(request.question, request.images), SAID)
    handle.remove()
    return noted["hidden_states"][0].clone(), [turn[0].clone() for turn in noted["position_embeddings"]]


@pytest.mark.parametrize(("layer", "head", "behind"), [(1, 0, -3), (LAYER, HEAD, -1), (4, 5, 1)])
def test_shares_are_those_of_rows_mixed_by_hand(
    engine: ModelEngine, base_folder: Path, folder: Path, prompt_length: int, layer: int, head: int, behind: int
) -> None:
    row_at = prompt_length + behind
    tuned = load_reference(base_folder, [(folder / "whole", 1.0)])
    hand = ByHand(load_reference(base_folder), tuned, row_at, layer, head)
    plain = ("base", "base")
    before, after = hand.row(plain, plain), hand.row(("tuned", "tuned"), ("tuned", "tuned"))
    line = after - before
    rows = (
        hand.row(("tuned", "base"), plain),
        hand.row(plain, ("tuned", "base")),
        hand.row(("base", "tuned"), ("base", "tuned")),
    )
    expected = [float((row - before) @ line / (line @ line)) for row in rows]
    shares = why(engine, "whole", row_at, layer=layer, head=head)
    assert [shares.query, shares.key, shares.inputs] == pytest.approx(expected, abs=1e-4)
    assert shares.query + shares.key + shares.inputs + shares.rest == pytest.approx(1)
    assert shares.moved == pytest.approx(np.abs(line).sum() / 2, abs=1e-5)
    # Nothing that the comparison would not see.
    assert min(abs(a - b) for a, b in ((expected[0], expected[1]), (expected[1], expected[2]))) > 0.01


def test_the_row_that_is_explained_is_the_one_that_was_captured(engine: ModelEngine, room: Room) -> None:
    request = asking.make_request("base", "whole@-0.7", words="base", keep=Keep(numbers="float32"))
    session = asking.finish(engine.run(request, room()))
    base, tuned = (run.trace for run in session.runs)
    for token in (1, len(tuned.tokens) - 1):
        asked = WhyMoved("whole@-0.7", token, LAYER, HEAD)
        found = asked.read(session, probe(engine, asked.probe(session)))
        captured = tuned.rows[token, LAYER, HEAD] - base.rows[token, LAYER, HEAD]
        assert found.moved == pytest.approx(np.abs(captured).sum() / 2, abs=1e-5)
        assert found.moved > 0.01


def test_reasons_come_back_in_order_and_share_their_passes(engine: ModelEngine, prompt_length: int) -> None:
    places = [("whole", 3, 1), ("query", 2, 4), ("whole", 2, 4), ("base", 0, 0), ("whole", 3, 1)]
    reasons = [Reason(SAID, parse_variant(name), prompt_length, layer, head) for name, layer, head in places]
    reasons.append(Reason(SAID[:2], parse_variant("query"), prompt_length, LAYER, HEAD))
    steps = list(engine.probe(Probe(make_request(), reasons=tuple(reasons))))
    findings = steps[-1]
    assert isinstance(findings, Findings)
    # The base, whole and query over the longer words; base and query over the shorter.
    assert findings.passes == 3 + 2
    assert [step.done for step in steps if isinstance(step, Progress)] == list(range(6))
    for reason, shares in zip(reasons[:-1], findings.shares, strict=False):
        assert shares == why(engine, reason.variant.label, prompt_length, layer=reason.layer, head=reason.head)
    assert findings.shares[-1].query == pytest.approx(1)
