"""Which adapters lie in a folder, what their files say, and what is wrong with those that cannot be used.

Reads adapter_config.json, the header of the safetensors file and the card; never a weight, never a pickle. Knows no
torch and no model: whether an adapter fits a model is for `inference.model.adapters` to say.
"""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.protocol import AdapterFacts
from inference.tensors import Shape, UnusableError, read_header

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "adapter_config.json", "adapter_model.safetensors", "README.md"
MAX_RANK, MAX_ALPHA = 1024, 1e6
MAX_PATTERN_CHARS, MAX_PATTERN_REPEATS = 1_000, 5
_CONFIG_BYTES, _CARD_BYTES = 4_000_000, 100_000

# All other ways to start an adapter (PiSSA, OLoRA, CorDA, LoftQ ...) take a part out of the base's own weights.
_HARMLESS_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
_REFUSED_PARTS = {
    "modules_to_save": "It brings whole layers of its own (modules_to_save), not low-rank matrices alone.",
    "layer_replication": "It repeats layers of the base (layer_replication).",
    "trainable_token_indices": "It changes word embeddings (trainable_token_indices).",
    "target_parameters": "It changes bare parameters (target_parameters).",
    "alora_invocation_tokens": "It switches itself on by certain words (aLoRA).",
    "arrow_config": "It routes between other adapters (Arrow).",
    "use_qalora": "It is made for a quantised base (QA-LoRA).",
    "use_bdlora": "It is made of diagonal blocks (BD-LoRA).",
    "velora_config": "It compresses its inputs (VeLoRA).",
    "monteclora_config": "It draws its weights at random (MonteCLoRA).",
    "kasa_config": "It scales singular values of the base (KaSA).",
    "megatron_config": "It is made for Megatron.",
}
_REPEATED_GROUP = re.compile(r"\)\s*[+*{]")
_REPEAT = re.compile(r"[+*]|\{\d*,\d*\}")
_LAYER = re.compile(r"(?:^|\.)layers\.(\d{1,6})\.")
_VISION = re.compile(r"(?:^|\.)visual\.")
_MATRIX = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+)\.(?P<part>lora_[A-Za-z_]+)(?:\.weight|\.bias)?$")


@dataclass(frozen=True)
class AdapterFiles:
    """What an adapter's files hold: its config as it stands, and the shape of each tensor by its key."""

    config: dict[str, Any]
    shapes: dict[str, Shape]


def find_adapters(folder: Path) -> tuple[AdapterFacts, ...]:
    """All adapters in the folders below this one, or in this one if it is an adapter itself, by name.

    Hidden folders are left out; a folder that is not there holds none.
    """
    if not folder.is_dir():
        return ()
    if _looks_like_adapter(folder):
        return (read_adapter(folder),)
    return tuple(
        read_adapter(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith((".", "__"))
    )


def read_adapter(folder: Path) -> AdapterFacts:
    """What the files of this adapter say; what keeps it from being used stands in `problems`."""
    name = folder.resolve().name
    facts = AdapterFacts(name, str(folder), description=_description(folder))
    try:
        return _describe(facts, folder, read_files(folder))
    except UnusableError as error:
        return replace(facts, problems=(*_name_problems(name), str(error)))
    except OSError as error:
        return replace(facts, problems=(f"Its files cannot be read ({error.strerror}).",))


def read_files(folder: Path) -> AdapterFiles:
    """The adapter's config and the header of its weights, checked as far as files alone can be.

    Raises:
        UnusableError: something is missing, too large or damaged.
    """
    if not folder.is_dir():
        raise UnusableError(f"There is no folder {folder.name!r}.")
    if not any(folder.iterdir()):
        raise UnusableError("The folder is empty.")
    return AdapterFiles(_read_config(folder / CONFIG_FILE), read_shapes(folder / WEIGHTS_FILE))


def read_shapes(path: Path) -> dict[str, Shape]:
    """The shape of each tensor in a safetensors file, from its header alone.

    Raises:
        UnusableError: missing, not safetensors, cut short, or without tensors.
    """
    if not path.is_file():
        pickles = sorted(other.name for other in path.parent.glob("*.bin")) if path.parent.is_dir() else []
        if pickles:
            raise UnusableError(f"{pickles[0]} is a pickle, which can run code; save the adapter as {path.name}.")
        raise UnusableError(f"{path.name} is missing.")
    shapes = {key: entry.shape for key, entry in read_header(path).items()}
    if not shapes:
        raise UnusableError(f"{path.name} holds no weights.")
    return shapes


def _looks_like_adapter(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE, "adapter_model.bin"))


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UnusableError(f"{path.name} is missing.")
    if path.stat().st_size > _CONFIG_BYTES:
        raise UnusableError(f"{path.name} is larger than {_CONFIG_BYTES:,} bytes.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableError(f"{path.name} is not readable JSON.") from error
    if not isinstance(config, dict):
        raise UnusableError(f"{path.name} holds no JSON object.")
    return config


def _describe(facts: AdapterFacts, folder: Path, files: AdapterFiles) -> AdapterFacts:
    config, keys = files.config, files.shapes.keys()
    matches = [match for key in keys if (match := _MATRIX.match(key))]
    layers = sorted({int(found[1]) for key in keys if not _VISION.search(key) and (found := _LAYER.search(key))})
    towers = [
        tower
        for tower, seen in (("text", False), ("vision", True))
        if any(bool(_VISION.search(k)) is seen for k in keys)
    ]
    weights = folder / WEIGHTS_FILE
    state = weights.stat()
    return replace(
        facts,
        kind=str(config.get("peft_type", "")),
        base=str(config.get("base_model_name_or_path") or ""),
        rank=_number(config.get("r"), int),
        alpha=_number(config.get("lora_alpha"), float),
        modules=tuple(sorted({match["module"].rpartition(".")[2] for match in matches})),
        towers=tuple(towers),
        layers=tuple(layers),
        sha256=_sha256(weights, state.st_mtime_ns, state.st_size),
        problems=(*_name_problems(facts.name), *_config_problems(config), *_weight_problems(files)),
    )


def _number(value: Any, kind: type[int] | type[float]) -> Any:
    return kind(value) if _is_number(value) else kind(0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_ALPHA


def _name_problems(name: str) -> list[str]:
    if name == "base" or any(sign in name for sign in "@+,"):
        return ["Its folder's name is taken or holds one of the signs @ + , and must be changed."]
    return []


def _config_problems(config: dict[str, Any]) -> list[str]:
    kind = config.get("peft_type")
    if kind != "LORA":
        return [f"It is of the kind {kind!r}; only LORA is supported."]
    problems = [sentence for part, sentence in _REFUSED_PARTS.items() if config.get(part)]
    if config.get("init_lora_weights", True) not in _HARMLESS_STARTS:
        problems.append(
            f"It was started with {config['init_lora_weights']!r}, which changes the base's own weights; save it with "
            "path_initial_model_for_weight_conversion."
        )
    if config.get("bias", "none") != "none":
        problems.append("It changes biases of the base (bias).")
    return problems + _number_problems(config) + _pattern_problems(config)


def _number_problems(config: dict[str, Any]) -> list[str]:
    ranks, alphas = (
        [config.get(single), *(patterns.values() if isinstance(patterns := config.get(part) or {}, dict) else [None])]
        for single, part in (("r", "rank_pattern"), ("lora_alpha", "alpha_pattern"))
    )
    problems = []
    if not all(isinstance(rank, int) and not isinstance(rank, bool) and 1 <= rank <= MAX_RANK for rank in ranks):
        problems.append(f"Its rank is not a whole number from 1 to {MAX_RANK}.")
    if not all(map(_is_number, alphas)):
        problems.append(f"Its alpha is not a number up to {MAX_ALPHA:g}.")
    return problems


def _pattern_problems(config: dict[str, Any]) -> list[str]:
    """Patterns come from a stranger and are run on every module's name, so none may be able to run away."""
    targets = config.get("target_modules")
    if not targets or not isinstance(targets, str | list):
        return ["It names no target modules."]
    names = [part for key in ("target_modules", "exclude_modules") for part in _listed(config.get(key))]
    patterns = [value for key in ("target_modules", "exclude_modules") if isinstance(value := config.get(key), str)]
    patterns += _listed(config.get("layers_pattern"))
    for part in ("rank_pattern", "alpha_pattern"):
        patterns += value if isinstance(value := config.get(part), dict) else []
    if all(isinstance(name, str) and len(name) <= MAX_PATTERN_CHARS for name in names) and all(map(_is_tame, patterns)):
        return []
    return [
        f"A pattern for its modules has more than {MAX_PATTERN_CHARS:,} characters or {MAX_PATTERN_REPEATS} repeats, a "
        "repeated group, or is not valid."
    ]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if value else []


def _is_tame(pattern: Any) -> bool:
    """Whether the time that a pattern takes on a name is bounded: no repeat within a repeat, and few in a row."""
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_CHARS:
        return False
    if _REPEATED_GROUP.search(pattern) or len(_REPEAT.findall(pattern)) > MAX_PATTERN_REPEATS:
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _weight_problems(files: AdapterFiles) -> list[str]:
    strange = [key for key in files.shapes if not _MATRIX.match(key)]
    if strange:
        return [f"It holds {len(strange)} weights that are no part of a LoRA, such as {strange[0][:120]!r}."]
    highest = max((min(shape) for shape in files.shapes.values() if len(shape) == 2), default=0)
    return [f"One of its matrices has rank {highest}, above {MAX_RANK}."] if highest > MAX_RANK else []


def _description(folder: Path) -> str:
    """The first paragraph of the card, without front matter and headings; empty if there is none."""
    try:
        with (folder / CARD_FILE).open(encoding="utf-8", errors="replace") as file:
            card = file.read(_CARD_BYTES)
    except OSError:
        return ""
    card = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*$", "\n", card)))
    plain = (part for part in paragraphs if part and not part.startswith(("<!--", "|", "```", "- ")))
    return next((part[:500] for part in plain if "more information needed" not in part.lower()), "")


@lru_cache(maxsize=256)
def _sha256(path: Path, _modified_ns: int, _size: int) -> str:
    """Computed once for each state of the file that the other two arguments tell apart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
