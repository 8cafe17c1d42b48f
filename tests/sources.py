"""One small set of images in every layout that a source reads: the same images, in the same order, with the same classes.

images = some_photos(photos, 12)
uris = write_layouts(tmp_path, images)      # {"folder": "folder:...", "tar": "tar:...", ...}
uri = copy_to_store(uris["tar"], "memory://bucket/set")
"""

import base64
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Sample(NamedTuple):
    """An encoded image: its class, its name without a folder, its bytes."""

    label: str
    name: str
    data: bytes

    @property
    def path(self) -> str:
        return f"{self.label}/{self.name}"


def some_photos(photos: Path, count: int) -> list[Sample]:
    """The first photographs of a folder as samples of the classes `a` and `b`, in the order of their paths."""
    files = sorted(photos.iterdir())[:count]
    return [Sample("a" if i < count / 2 else "b", f"{i:04d}.jpg", path.read_bytes()) for i, path in enumerate(files)]


def noise_images(count: int, side: int = 24, colour: bool = True, name: str = "JPEG") -> list[Sample]:
    """Encoded images of noise, where no photographs are needed."""
    random = np.random.default_rng(0)
    shape = (count, side, side, 3) if colour else (count, side, side)
    samples = []
    for i, pixels in enumerate(random.integers(0, 256, shape, dtype=np.uint8)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, name)
        suffix = {"JPEG": "jpg", "PNG": "png"}[name]
        samples.append(Sample("a" if i < count / 2 else "b", f"{i:04d}.{suffix}", file.getvalue()))
    return samples


def write_layouts(root: Path, samples: Sequence[Sample]) -> dict[str, str]:
    """The URI of every layout, by its name; `idx` is there for grey images of one size."""
    uris = {
        "folder": f"folder:{write_folder(root / 'folder', samples)}",
        "tar": f"tar:{write_tar(root / 'tar', samples)}",
        "zip": f"zip:{write_zip(root / 'images.zip', samples)}",
        "parquet": f"parquet:{write_parquet(root / 'parquet', samples)}",
        "jsonl": f"jsonl:{write_jsonl(root / 'images.jsonl', samples)}",
        "base64": f"jsonl:{write_base64(root / 'base64.jsonl', samples)}",
        "list": f"list:{write_list(root / 'images.txt', samples)}",
    }
    with Image.open(io.BytesIO(samples[0].data)) as first:
        if first.mode == "L":
            uris["idx"] = f"idx:{write_idx(root / 'some-images-idx3-ubyte', samples)}"
    return uris


def write_folder(folder: Path, samples: Sequence[Sample]) -> Path:
    """A folder for each class."""
    for sample in samples:
        (folder / sample.label).mkdir(parents=True, exist_ok=True)
        (folder / sample.path).write_bytes(sample.data)
    return folder


def write_tar(folder: Path, samples: Sequence[Sample], shards: int = 2) -> Path:
    """Shards of WebDataset, with the class of each image in a `.cls`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(_parts(samples, shards)):
        with tarfile.open(folder / f"{number:06d}.tar", "w") as archive:
            for sample in part:
                add_to_tar(archive, sample.name, sample.data)
                add_to_tar(archive, f"{Path(sample.name).stem}.cls", sample.label.encode())
    return folder


def add_to_tar(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A file in an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def write_zip(path: Path, samples: Sequence[Sample]) -> Path:
    """A folder for each class, below a folder for all; every other image is deflated."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, sample in enumerate(samples):
            kind = zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED
            archive.writestr(f"images/{sample.path}", sample.data, kind)
    return path


def write_parquet(folder: Path, samples: Sequence[Sample], files: int = 2, rows: int = 4, split: str = "train") -> Path:
    """The layout of Hugging Face's hub: `image {bytes, path}` and `label`, with the names of the classes in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = sorted({sample.label for sample in samples})
    features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(_parts(samples, files)):
        images = [{"bytes": sample.data, "path": sample.name} for sample in part]
        labels = [classes.index(sample.label) for sample in part]
        table = pa.table({"image": images, "label": labels}, schema=schema)
        pq.write_table(table, folder / "data" / f"{split}-{number:05d}-of-{files:05d}.parquet", row_group_size=rows)
    return folder


def write_jsonl(path: Path, samples: Sequence[Sample]) -> Path:
    """Paths relative to the file, of images in a folder beside it."""
    write_folder(path.parent / "listed", samples)
    lines = [json.dumps({"image": f"listed/{sample.path}", "label": sample.label}) for sample in samples]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_base64(path: Path, samples: Sequence[Sample]) -> Path:
    """Images in the lines themselves."""
    encoded = [(base64.b64encode(sample.data).decode(), sample.label) for sample in samples]
    path.write_text("".join(json.dumps({"image": data, "label": label}) + "\n" for data, label in encoded))
    return path


def write_list(path: Path, samples: Sequence[Sample]) -> Path:
    """A path and a class a line."""
    write_folder(path.parent / "listed", samples)
    path.write_text("".join(f"listed/{sample.path}\t{sample.label}\n" for sample in samples))
    return path


def write_idx(path: Path, samples: Sequence[Sample]) -> Path:
    """Grey images of one size, and their classes as numbers beside them."""
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(sample.data))) for sample in samples])
    classes = sorted({sample.label for sample in samples})
    labels = np.array([classes.index(sample.label) for sample in samples])
    path.write_bytes(_idx_bytes(pixels))
    path.with_name(path.name.replace("images-idx3", "labels-idx1")).write_bytes(_idx_bytes(labels))
    return path


def copy_to_store(uri: str, url: str, **options: object) -> str:
    """The source of a local URI in a store, below `url`: its new URI. Lists take the images beside them along."""
    import fsspec

    kind, _, place = uri.partition(":")
    store, root = fsspec.core.url_to_fs(url, **options)
    path = Path(place)
    files = [path, *path.rglob("*"), *(path.parent / "listed").rglob("*")]
    files += [path.with_name(path.name.replace("images-idx3", "labels-idx1"))] if kind == "idx" else []
    for file in files:
        if file.is_file():
            store.pipe_file(f"{root}/{file.relative_to(path.parent).as_posix()}", file.read_bytes())
    return f"{kind}:{url}/{path.name}"


def _idx_bytes(array: np.ndarray) -> bytes:
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()


def _parts(samples: Sequence[Sample], count: int) -> list[Sequence[Sample]]:
    size = -(-len(samples) // count)
    return [samples[start : start + size] for start in range(0, len(samples), size)]
