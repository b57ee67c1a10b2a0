"""What the owner of an installation sets, through environment variables that begin with LORA_ATTENTION_."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from inference.errors import SettingsError
from inference.trace.request import Limits

PREFIX = "LORA_ATTENTION_"


class Settings(BaseSettings):
    """Validated once, when the program starts; every field is an environment variable of the same name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    model: str = Field(default="", description="folder or hub name (owner/name#revision); empty: the miniature")
    adapters: Path | None = Field(default=None, description="folder of adapter folders; empty: the model's own")
    device: str = Field(default="", description="cpu, cuda or cuda:1; empty: what the machine has")
    dtype: str = Field(default="", description="float32, bfloat16 or float16; empty: what suits the device")
    gpu: str = Field(default="A100", description="kind of GPU asked for on Modal")
    min_pixels: int | None = Field(default=None, ge=1024, description="smallest area of the resized picture")
    max_pixels: int | None = Field(default=None, ge=1024, description="largest area of the resized picture")
    upload_mb: float = Field(default=20, gt=0, le=200, description="largest upload in MB")
    # 89: Pillow itself warns of pictures beyond.
    picture_megapixels: float = Field(default=50, gt=0, le=89, description="largest picture before resizing")
    question_chars: int = Field(default=4_000, ge=1, description="longest question")
    answer_tokens: int = Field(default=512, ge=1, description="most answer tokens")
    variants: int = Field(default=6, ge=1, description="most variants in one question")
    images: int = Field(default=4, ge=1, description="most pictures in one question")
    scale: float = Field(default=4.0, gt=0, description="largest absolute scale of an adapter")
    rows_gb: float = Field(default=2.0, gt=0, description="most disk space for the attention rows of one question")
    session_hours: float = Field(default=1.0, gt=0, description="how long a visitor's session is kept")
    sessions_gb: float = Field(default=4.0, gt=0, description="disk space for all sessions")
    queue: int = Field(default=32, ge=1, description="questions that may wait")

    def limits(self) -> Limits:
        """The part that a request is checked against."""
        return Limits(
            question_chars=self.question_chars,
            answer_tokens=self.answer_tokens,
            images=self.images,
            variants=self.variants,
            scale=self.scale,
        )


def read_settings() -> Settings:
    """The settings as the environment has them.

    Raises:
        SettingsError: a variable holds what it cannot; the first such is named.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable, wanted = f"{PREFIX}{first['loc'][0]}".upper(), first["msg"].removeprefix("Input should be ")
        raise SettingsError(f"{variable} to be {wanted}", repr(first["input"]), "correct the variable") from error
