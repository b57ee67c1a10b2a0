"""Where the embedded miniature Qwen3-VL lies. Knows no torch and reads no file: it only names folders."""

from pathlib import Path

BASE_NAME = "lora-attention/miniature"
BASE_DIR = Path(__file__).parent / "weights" / "base"
ADAPTERS_DIR = Path(__file__).parent / "weights" / "adapters"

__all__ = ["ADAPTERS_DIR", "BASE_DIR", "BASE_NAME"]
