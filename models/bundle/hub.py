"""Download folders from the Hugging Face hub, and push bundles to it.

The hub's cache and its variables `HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and `HF_TOKEN` apply.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.bundle.manifest import MANIFEST, Manifest
from models.bundle.published import page_header
from models.bundle.reader import Bundle, read_bundle, read_manifest
from models.errors import HubError


def download(repo: str, files: Sequence[str] | None = None, revision: str | None = None) -> Path:
    """Download files of a repository that match the patterns `files` (default: all); returns their folder in the hub's cache.

    Raises:
        HubError: no such repository, no access, or the hub cannot be reached and the cache does not have the files.
    """
    from huggingface_hub import snapshot_download

    with _translated(repo, "downloaded from"):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files) if files else None))


def look_at_bundle(repo: str, revision: str | None = None) -> Manifest:
    """Download the manifest of a bundle and nothing else.

    Raises:
        HubError: see `download`; or the repository is not a bundle.
        BundleError: a manifest that this version does not read.
    """
    folder = download(repo, [MANIFEST], revision)
    if not (folder / MANIFEST).exists():
        raise HubError(f"{repo} is not a bundle: it has no {MANIFEST} (ijepa import reads models of other formats)")
    return read_manifest(folder)


def pull_bundle(repo: str, revision: str | None = None) -> Bundle:
    """Download a bundle into the hub's cache and check every file against the manifest.

    Raises:
        HubError: see `download`.
        BundleError: a file does not match the manifest.
    """
    manifest = look_at_bundle(repo, revision)
    return read_bundle(download(repo, [MANIFEST, *manifest.files], revision))


def push_bundle(bundle: Bundle, repo: str, *, private: bool = False) -> str:
    """Upload a bundle to a repository, created where there is none; its card becomes the README. Returns the address.

    Raises:
        HubError: no access, or the hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api, manifest = HfApi(), bundle.manifest
    page = page_header(manifest.licence) + bundle.card()
    files = [CommitOperationAdd(name, str(bundle.path(name))) for name in (MANIFEST, *manifest.files)]
    with _translated(repo, "pushed to"):
        address = api.create_repo(repo, exist_ok=True, private=private)
        api.create_commit(
            repo,
            [*files, CommitOperationAdd("README.md", page.encode())],
            commit_message=f"Bundle {manifest.id}, sha256 {bundle.sha256[:12]}",
        )
    return str(address)


@contextmanager
def _translated(repo: str, done: str) -> Iterator[None]:
    """The hub's errors as HubError."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, httpx2.TransportError) as error:
        raise HubError(
            f"{repo} cannot be {done} the Hugging Face hub: the hub cannot be reached (or HF_HUB_OFFLINE is set), and the cache "
            "does not have it"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise HubError(f"{repo} cannot be {done} the Hugging Face hub: {said}") from error
