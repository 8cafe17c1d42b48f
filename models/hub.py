"""The Hugging Face hub: folders down, bundles up. Its own cache, `HF_HUB_OFFLINE`, `HF_ENDPOINT` and `HF_TOKEN` count as everywhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.bundle import CARD, MANIFEST, Bundle, Manifest, read_bundle, read_manifest
from models.errors import HubError
from models.published import page_header


def download(repo: str, files: Sequence[str] | None = None, revision: str | None = None) -> Path:
    """The folder of a repository's newest (or the named) revision in the hub's cache, with the files that fit the patterns.

    Raises:
        HubError: no such repository, no access, or no way to the hub and nothing in the cache.
    """
    from huggingface_hub import snapshot_download

    with _translated(repo, "fetched from"):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files) if files else None))


def look_at_bundle(repo: str, revision: str | None = None) -> Manifest:
    """The manifest of a bundle on the hub, and nothing more of it.

    Raises:
        HubError: see `download`; or the repository holds no bundle.
        BundleError: a manifest that this version does not read.
    """
    folder = download(repo, [MANIFEST], revision)
    if not (folder / MANIFEST).exists():
        raise HubError(f"{repo} holds no bundle: it has no {MANIFEST} (ijepa import reads models of other formats)")
    return read_manifest(folder)


def pull_bundle(repo: str, revision: str | None = None) -> Bundle:
    """A bundle with all its files in the hub's cache, each checked against the manifest.

    Raises:
        HubError: see `download`.
        BundleError: a file that is not the one that the manifest describes.
    """
    manifest = look_at_bundle(repo, revision)
    return read_bundle(download(repo, [MANIFEST, *manifest.files], revision))


def push_bundle(bundle: Bundle, repo: str, *, private: bool = False) -> str:
    """Put a bundle into a repository, made where there is none; its card becomes the page. Returns the address.

    Raises:
        HubError: no access, or no way to the hub.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api, manifest = HfApi(), bundle.manifest
    page = page_header(manifest.licence) + bundle.path(CARD).read_text()
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
    """The hub's own errors in one sentence of ours."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, httpx2.TransportError) as error:
        raise HubError(
            f"{repo} cannot be {done} the Hugging Face hub: it cannot be reached (or HF_HUB_OFFLINE is set), and the cache does "
            "not have it"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise HubError(f"{repo} cannot be {done} the Hugging Face hub: {said}") from error
