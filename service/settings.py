"""What a server does: from arguments, else from environment variables `IJEPA_...`, else the defaults here."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.errors import ConfigError

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Validated once, then handed to `create_app`. Sizes are in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="IJEPA_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    bundle: Annotated[tuple[str, ...], NoDecode] = ()
    runtime: str = "auto"
    precision: Literal["auto", "float32", "float16", "int8"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    max_batch: Positive = 32
    max_image_bytes: Positive = 20_000_000
    max_body_bytes: Positive = 64_000_000
    max_images: Positive = 32
    max_images_patches: Positive = 8
    max_targets: Positive = 64
    max_pixels: Positive = 50_000_000
    body_seconds: Seconds = 30.0
    deadline_seconds: Seconds = 60.0
    queue_seconds: Seconds = 30.0
    drain_seconds: Positive = 30


def read_settings(**given: object) -> Settings:
    """Settings with the arguments that were given (None is not given) over the environment.

    `IJEPA_BUNDLE` may hold several names or folders, separated by commas.

    Raises:
        ConfigError: naming the setting, its value and what was expected.
    """
    import os

    values = {name: value for name, value in given.items() if value is not None}
    if "bundle" not in values:
        values["bundle"] = tuple(part.strip() for part in os.environ.get("IJEPA_BUNDLE", "").split(",") if part.strip())
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigError(
            f"setting {name} (IJEPA_{name.upper()}) is {first['input']!r}: {first['msg'].lower()}"
        ) from error
