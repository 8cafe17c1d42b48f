"""The photographs that are sent: those of a folder, as JPEGs of one size."""

from pathlib import Path

from PIL import Image, ImageOps

SIZE = (500, 375)
QUALITY = 90
BOUNDARY = "b5f3a1c09d7e4826"


def write_photographs(source: Path, out: Path, count: int) -> list[Path]:
    """`count` JPEGs of 500 x 375 pixels, quality 90. Where the folder has fewer, they repeat with another crop.

    Raises:
        FileNotFoundError: a folder without images.
    """
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not found:
        raise FileNotFoundError(f"{source} has no JPEG or PNG files; give a folder of photographs with --images")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for index in range(count):
        turn, which = divmod(index, len(found))
        with Image.open(found[which]) as image:
            place = (turn * 0.37 % 1.0, turn * 0.61 % 1.0) if turn else (0.5, 0.5)
            upright = ImageOps.exif_transpose(image).convert("RGB")
            photograph = ImageOps.fit(
                upright, SIZE, Image.Resampling.BICUBIC, bleed=0.1 if turn else 0, centering=place
            )
        written.append(out / f"{index:05d}.jpg")
        photograph.save(written[-1], "JPEG", quality=QUALITY)
    return written


def write_bodies(photographs: list[Path], out: Path, field: str | None) -> tuple[Path, str]:
    """Bodies of requests: a file that lists them, and their content type. With `field` each is a form with one file."""
    out.mkdir(parents=True, exist_ok=True)
    for photograph in photographs:
        (out / photograph.name).write_bytes(
            as_form(photograph.read_bytes(), field) if field else photograph.read_bytes()
        )
    listed = out / "bodies.txt"
    listed.write_text("".join(f"{out / photograph.name}\n" for photograph in photographs))
    return listed, f"multipart/form-data; boundary={BOUNDARY}" if field else "image/jpeg"


def as_form(data: bytes, field: str) -> bytes:
    """A multipart form with one JPEG."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="image.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
