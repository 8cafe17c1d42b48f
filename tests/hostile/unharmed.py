"""What must be true of another client while hostile ones are there."""

from tests.hostile.server import Server
from tests.hostile.watch import Seen

IMAGE_SECONDS, HEALTH_SECONDS, MAX_BYTES = 3.0, 0.3, 2_000_000_000
"""Wanted are 1 s and 0.1 s at p99. The clients of these tests have the same cores as the server."""


def harm(
    server: Server, seen: Seen, start: int, image_seconds: float = IMAGE_SECONDS, health_seconds: float = HEALTH_SECONDS
) -> list[str]:
    """What another client suffered, and what else is wrong since the log had `start` bytes."""
    print(
        f"p99 {seen.image_p99():.3f} s, /health {seen.health_p99():.3f} s, {seen.peak_bytes / 1e6:.0f} MB, {seen.failures}"
    )
    found = server.problems(start)
    if seen.failures:
        found.append(f"replies other than 200: {seen.failures} of {len(seen.images)}")
    if seen.image_p99() >= image_seconds:
        found.append(f"an image took {seen.image_p99():.2f} s at p99")
    if seen.health_p99() >= health_seconds:
        found.append(f"/health took {seen.health_p99():.2f} s at p99")
    if seen.peak_bytes >= MAX_BYTES:
        found.append(f"{seen.peak_bytes / 1e6:.0f} MB of memory")
    return found
