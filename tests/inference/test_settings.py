"""Settings come from the environment, and what is wrong there is told in one sentence."""

import pytest

from inference.errors import SettingsError
from inference.settings import read_settings


def test_a_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_ATTENTION_MODEL", "Qwen/Qwen3-VL-2B-Instruct#main")
    monkeypatch.setenv("LORA_ATTENTION_ANSWER_TOKENS", "7")
    settings = read_settings()
    assert settings.model == "Qwen/Qwen3-VL-2B-Instruct#main"
    assert settings.limits().answer_tokens == 7


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "QUEUE",
            "0",
            "Expected LORA_ATTENTION_QUEUE to be greater than or equal to 1, got '0': correct the variable.",
        ),
        ("UPLOAD_MB", "lots", "Expected LORA_ATTENTION_UPLOAD_MB to be a valid number"),
        ("PICTURE_MEGAPIXELS", "90", "less than or equal to 89"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(f"LORA_ATTENTION_{name}", value)
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert says in str(raised.value)
