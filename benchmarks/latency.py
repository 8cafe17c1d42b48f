"""What a kept connection costs: `python -m benchmarks.latency`.

One server, requests for the same image alternately on a connection of their own and on one that is kept. Printed are the median
milliseconds of each from the first byte sent to the last received, the server's own time (`Server-Timing`), and the ratio of
kept to fresh. With Nagle's algorithm on at the server a kept connection waits 40 ms for the client's delayed acknowledgement.
"""

import argparse
import http.client
import io
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

ROUTE = "/v1/images/embeddings"


@contextmanager
def server(bundle: str) -> Iterator[str]:
    """The address of a server that is ready."""
    command = [sys.executable, "-m", "ijepa", "serve", "--bundle", bundle, "--port", "0", "--runtime", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "IJEPA_THREADS": "1"})
    try:
        address = listening(process)
        while not healthy(address):
            if process.poll() is not None:
                sys.exit(f"the server ended with code {process.returncode}")
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def listening(process: subprocess.Popen[str]) -> str:
    """The address that a server prints. Where it ends before, so does the benchmark, with what the server printed."""
    assert process.stderr is not None
    printed = []
    for line in process.stderr:
        if match := re.search(r"listening on http://(\S+)", line):
            return match[1]
        printed.append(line)
    sys.exit(f"the server ended with code {process.wait(30)} before it was ready:\n{''.join(printed)}")


def healthy(address: str) -> bool:
    """Whether the server takes work."""
    try:
        return fetch(http.client.HTTPConnection(address), "GET", "/health")[0] == 200
    except OSError:
        return False


def fetch(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, float]:
    """Status of a response, and the server's own milliseconds."""
    connection.request(method, path, body)
    response = connection.getresponse()
    response.read()
    durations = re.findall(r"dur=([0-9.]+)", response.headers.get("server-timing", ""))
    return response.status, sum(map(float, durations))


def timed(connection: http.client.HTTPConnection, body: bytes) -> tuple[float, float]:
    """Milliseconds at the client, and the server's own, of one embedding on a connection that is open."""
    start = time.perf_counter()
    status, server_ms = fetch(connection, "POST", ROUTE, body)
    assert status == 200, status
    return 1000 * (time.perf_counter() - start), server_ms


def photograph() -> bytes:
    """A JPEG of 500 x 375 pixels, made on the spot."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="fashion-mnist-nano")
    parser.add_argument("--requests", type=int, default=200)
    args = parser.parse_args()
    body = photograph()
    rows: dict[str, list[tuple[float, float]]] = {"fresh": [], "kept": []}
    with server(args.bundle) as address:
        kept = http.client.HTTPConnection(address)
        timed(kept, body)
        for _ in range(args.requests):
            fresh = http.client.HTTPConnection(address)
            fresh.connect()
            rows["fresh"].append(timed(fresh, body))
            fresh.close()
            rows["kept"].append(timed(kept, body))
    medians = {name: [statistics.median(values) for values in zip(*pairs, strict=True)] for name, pairs in rows.items()}
    print(f"{args.requests} requests each, alternating, {platform.processor() or platform.machine()}")
    for name, (client_ms, server_ms) in medians.items():
        print(f"{name:<6} {client_ms:6.2f} ms at the client, {server_ms:6.2f} ms in the server")
    difference = medians["kept"][0] - medians["fresh"][1]
    ratio = medians["kept"][0] / medians["fresh"][0]
    print(f"kept / fresh: {ratio:.2f}; a kept request less a fresh one's server time: {difference:.2f} ms")


if __name__ == "__main__":
    main()
