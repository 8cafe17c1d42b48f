"""Our server beside what could be picked instead: `python -m benchmarks.serving --bundle DIR --checkpoint DIR --images DIR`.

Each contestant runs alone, in a process of its own on the loopback address, and gets the same JPEGs; the weights are the same. Rounds
alternate, and the engines alone and the matrix products of the machine are measured in every round. Each contestant is measured
in a closed loop (wrk) at several numbers of connections and in an open loop (Poisson arrivals) at shares of its measured capacity.
Medians over the rounds are printed as Markdown; `--json` gets all values. The contestants are run by `--peers-python`, an environment
with benchmarks/requirements.txt.
"""

import argparse
import contextlib
import http.client
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.contestants.table import CONTESTANTS, Contestant
from benchmarks.load.closed import check_wrk, closed_loop
from benchmarks.load.poisson import open_loop
from benchmarks.machine import describe_machine
from benchmarks.material import WAYS, Material, describe_progress, names_of, prepare, run_engine
from benchmarks.photographs import write_bodies
from benchmarks.processes import ProcessError, end_on_sigterm, free_port, started
from benchmarks.report import smallest_agreement, vector_of
from benchmarks.serving_report import write_report

SHARES = (0.5, 0.9)
"""Of the capacity, in the open loop."""
SETTLED, SETTLE_S = 3.0, 60.0


def main() -> None:
    """Measure and print."""
    args = parse_arguments()
    check_wrk()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="serving-benchmark-") as folder:
        work = Path(folder)
        material = prepare(args.bundle, args.checkpoint, args.images, args.photographs, work)
        results: dict[str, Any] = {
            "machine": describe_machine(args.peers_python),
            "settings": {name: str(value) for name, value in vars(args).items()},
            "encoder": material.encoder,
            "contestants": {name: {"setting": CONTESTANTS[name].setting, "rounds": []} for name in args.contestants},
            "engines": {way: [] for way in args.engines},
        }
        reference = run_engine("reference", material).get("vectors")
        for turn in range(args.rounds):
            for way in args.engines:
                describe_progress(f"round {turn + 1} of {args.rounds}: engine {way}")
                results["engines"][way].append(run_engine(way, material, args.engine_seconds))
            for name in args.contestants:
                describe_progress(f"round {turn + 1} of {args.rounds}: {name}")
                rounds = results["contestants"][name]["rounds"]
                rounds.append(measure_contestant(name, args, material, work, rounds, reference))
                if args.json:
                    args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(write_report(results))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True, help="a bundle's folder")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the checkpoint that the bundle was made of")
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--photographs", type=int, default=64, help="how many different ones are sent (64)")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python of the contestants' environment")
    parser.add_argument(
        "--contestants", type=names_of(CONTESTANTS), default=list(CONTESTANTS), help="names with commas (all)"
    )
    ways = [*WAYS, "decode", "gemm"]
    parser.add_argument("--engines", type=names_of(ways), default=ways, help="names with commas (all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each closed loop (8)")
    parser.add_argument("--open-seconds", type=float, default=20, help="of each open loop, 0 leaves it out (20)")
    parser.add_argument("--engine-seconds", type=float, default=2, help="of each batch size of an engine (2)")
    parser.add_argument("--clients", type=int, default=32, help="the connections at which capacity is measured (32)")
    parser.add_argument("--connections", type=numbers, default=[1, 16, 32, 64, 128, 256], help="of ours")
    parser.add_argument("--peers-connections", type=numbers, default=[1], help="of the others, beside --clients (1)")
    parser.add_argument("--json", type=Path, help="a file for all values")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    """Whole numbers with commas."""
    return [int(part) for part in text.split(",")]


def measure_contestant(
    name: str, args: argparse.Namespace, material: Material, work: Path, earlier: list[dict[str, Any]], reference: Any
) -> dict[str, Any]:
    """One round of one contestant; `{"skipped": reason}` where it does not start or does not answer."""
    contestant, port = CONTESTANTS[name], free_port()
    if contestant.graph and not (material.bundle / contestant.graph).exists():
        return {"skipped": f"the bundle has no {contestant.graph}"}
    python = sys.executable if contestant.ours else args.peers_python
    command = [python, *contestant.arguments.format(port=port, bundle=material.bundle).split()]
    environment = {**material.environment, **contestant.environment}
    if contestant.graph:
        environment["ENCODER"] = str(material.bundle / contestant.graph)
    url = f"http://127.0.0.1:{port}{contestant.path}"
    bodies = write_bodies(material.photographs, work / "bodies" / (contestant.field or "raw"), contestant.field)
    first = Path(bodies[0].read_text().splitlines()[0]).read_bytes()

    def ready() -> bool:
        return post(url, first, bodies[1])[0] == 200

    start = time.monotonic()
    try:
        with started(command, environment, work / f"{name}.log", ready):
            measured = {"ready_s": time.monotonic() - start}
            if reference and not earlier:
                measured["agreement"] = agreement(url, bodies, reference)
            return measured | measure_load(url, bodies, contestant, args, earlier)
    except (ProcessError, OSError, RuntimeError, http.client.HTTPException) as error:
        return {"skipped": f"{type(error).__name__}: {error}"}


def measure_load(
    url: str, bodies: tuple[Path, str], contestant: Contestant, args: argparse.Namespace, earlier: list[dict[str, Any]]
) -> dict[str, Any]:
    """Closed loops, then open loops at shares of the capacity: the median of this round and the earlier ones."""
    connections = args.connections if contestant.ours else args.peers_connections
    settle(url, bodies)
    closed = {}
    for count in sorted({*connections, args.clients}):
        closed[str(count)] = closed_loop(url, bodies, count, args.seconds)._asdict()
        settle(url, bodies)
    capacities = [done["closed"][str(args.clients)]["rate"] for done in earlier if "closed" in done]
    capacity = statistics.median([*capacities, closed[str(args.clients)]["rate"]])
    opened = {}
    for share in SHARES if args.open_seconds and capacity else ():
        opened[str(share)] = open_loop(url, bodies, share * capacity, args.open_seconds, seed=len(earlier))._asdict()
        settle(url, bodies)
    return {"closed": closed, "open": opened}


def post(url: str, body: bytes, content_type: str) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own; status 0 where nothing listens yet."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=SETTLE_S)
    with contextlib.closing(connection):
        try:
            connection.request("POST", place.path, body, {"Content-Type": content_type})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""


def settle(url: str, bodies: tuple[Path, str]) -> None:
    """Wait for requests that a server still works on after their clients left: until single requests take equally long."""
    body = Path(bodies[0].read_text().splitlines()[0]).read_bytes()
    deadline, latencies = time.monotonic() + SETTLE_S, []
    while time.monotonic() < deadline:
        start = time.monotonic()
        post(url, body, bodies[1])
        latencies.append(time.monotonic() - start)
        if len(latencies) >= 3 and max(latencies[-2:]) < SETTLED * min(latencies):
            return


def agreement(url: str, bodies: tuple[Path, str], reference: Any) -> float:
    """The smallest mean-centred cosine of a server's vectors to the reference."""
    paths = bodies[0].read_text().splitlines()[: len(reference)]
    vectors = [vector_of(json.loads(post(url, Path(path).read_bytes(), bodies[1])[1])) for path in paths]
    return smallest_agreement(np.array(vectors), np.array(reference))


if __name__ == "__main__":
    main()
