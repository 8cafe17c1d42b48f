"""What a server does: from arguments, else from environment variables `IJEPA_...`, else the defaults here."""

import difflib
import os
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.errors import ConfigError, short_repr
from models.images.decode import DecodeLimits

PREFIX = "IJEPA_"
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Validated once, then handed to `create_app`. Sizes are in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    bundle: Annotated[tuple[str, ...], NoDecode] = ()
    runtime: str = "auto"
    precision: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    max_batch: Positive = 32
    max_image_bytes: Positive = 20_000_000
    max_body_bytes: Positive = 64_000_000
    max_images: Positive = 32
    max_images_patches: Positive = 8
    max_targets: Positive = 64
    max_pixels: Positive = 50_000_000
    max_mask_pixels: Positive = 16_777_216
    max_bytes_in_flight: Positive = 256_000_000
    max_connections: Annotated[int, Field(ge=0)] = 0
    header_seconds: Seconds = 10.0
    idle_seconds: Seconds = 75.0
    body_seconds: Seconds = 30.0
    write_seconds: Seconds = 30.0
    decode_seconds: Seconds = 10.0
    deadline_seconds: Seconds = 60.0
    queue_seconds: Seconds = 2.5
    drain_seconds: Positive = 30
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()

    @property
    def decode_limits(self) -> DecodeLimits:
        """The largest image that is decoded."""
        return DecodeLimits(self.max_image_bytes, self.max_pixels)


def read_settings(**given: object) -> Settings:
    """Settings with the arguments that were given (None is not given) over the environment.

    `IJEPA_BUNDLE` and `IJEPA_ALLOWED_HOSTS` may hold several, separated by commas.

    Raises:
        ConfigError: naming the setting, its value and what was expected; or a variable `IJEPA_...` that is not a setting.
    """
    check_environment()
    values = {name: value for name, value in given.items() if value is not None}
    for name in ("bundle", "allowed_hosts"):
        if name not in values:
            text = os.environ.get(PREFIX + name.upper(), "")
            values[name] = tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigError(
            f"setting {name} ({PREFIX}{name.upper()}) is {short_repr(first['input'])}: {first['msg'].lower()}"
        ) from error


def check_environment() -> None:
    """A misspelt variable would silently be the default.

    Raises:
        ConfigError: naming the variable and the nearest setting.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for variable in os.environ:
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            near = difflib.get_close_matches(variable.upper(), known, n=1, cutoff=0.75)
            hint = f"did you mean {near[0]}?" if near else "docs/operations.md lists the settings"
            raise ConfigError(f"the environment variable {variable} is not a setting; {hint}")
