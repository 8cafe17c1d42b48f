"""The Hugging Face hub: folders down, folders up. Its own cache, `HF_HUB_OFFLINE` and `HF_TOKEN` count as everywhere."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from models.errors import SourceError


def download(repo: str, files: Sequence[str], revision: str | None = None) -> Path:
    """The folder of a repository's newest (or the named) revision in the hub's cache, with the files that fit the patterns.

    Raises:
        SourceError: no such repository, no access, or no way to the hub and nothing in the cache.
    """
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except LocalEntryNotFoundError as error:
        raise SourceError(
            f"{repo} is not in the cache of the Hugging Face hub, and the hub cannot be reached (or HF_HUB_OFFLINE is set)"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise SourceError(
            f"{repo} cannot be fetched from the Hugging Face hub: {str(error).splitlines()[0]}"
        ) from error
