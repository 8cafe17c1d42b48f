"""`python -m tests.hostile.report` runs every hostile input once against servers with default settings and prints a Markdown table."""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.hostile import attacks, rude
from tests.hostile.client import CLOSED, NO_REPLY, ask
from tests.hostile.corpus.base import Case, problems_of
from tests.hostile.corpus.table import CASES
from tests.hostile.load import measure_capacity, overload
from tests.hostile.mutants import FORMATS, mutants
from tests.hostile.ordinary import OVERLOADS, RUNTIME, warm_up
from tests.hostile.posting import post_all
from tests.hostile.server import GOLDEN, ZOO, Server, running_server
from tests.hostile.watch import Seen, watched

NAMES = {CLOSED: "closed", NO_REPLY: "no reply"}


def row(*cells: object) -> str:
    """Of a table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def head(*cells: str) -> str:
    """Of a table."""
    return f"\n{row(*cells)}\n{row(*['---'] * len(cells))}"


def counted(statuses: Iterable[object]) -> str:
    """`200 (3), 422`."""
    found = Counter(NAMES.get(status, status) for status in statuses)
    return ", ".join(
        f"{status} ({count})" if len(found) > 1 or count > 1 else f"{status}"
        for status, count in sorted(found.items(), key=str)
    )


def of_corpus(server: Server) -> Iterator[str]:
    """A row for each kind of input, and one for each that took more than half a second."""
    yield head("input", "inputs", "reply", "slowest, s", "memory, MB", "problems")
    slow = []
    for group, cases in itertools.groupby(CASES, _group):
        found, problems, replies = list(cases), 0, []
        with watched(server) as watch:
            for case in found:
                reply = asyncio.run(ask(server.port, case.request(), half_close=case.half_close))
                faults = problems_of(reply, case.statuses, outside=case.outside)
                for fault in faults:
                    print(f"{case.name}: {fault}", file=sys.stderr)
                problems += bool(faults)
                replies.append(reply)
                if reply.seconds > 0.5:
                    slow.append((case.name, reply))
        peak = f"{watch.seen.peak_bytes / 1e6:.0f}"
        slowest = max(reply.seconds for reply in replies)
        yield row(group, len(found), counted(reply.status for reply in replies), f"{slowest:.2f}", peak, problems)
    yield head("input that took more than 0.5 s", "reply", "s")
    for name, reply in sorted(slow, key=lambda pair: -pair[1].seconds):
        yield row(name, NAMES.get(reply.status, reply.status), f"{reply.seconds:.2f}")


def _group(case: Case) -> str:
    kind, _, name = case.name.partition(" / ")
    return f"{kind}: {name.partition(':')[0]}" if kind.startswith("image") and ":" in name else kind


def of_mutants(server: Server, count: int) -> Iterator[str]:
    """A row for each format."""
    yield head("mutants of", "inputs", "reply", "problems", "memory, MB")
    for name in FORMATS:
        with watched(server) as watch:
            replies = asyncio.run(post_all(server.port, list(mutants(name, count))))
        problems = sum(bool(found) for _, found in replies)
        yield row(name, count, counted(status for status, _ in replies), problems, f"{watch.seen.peak_bytes / 1e6:.0f}")


def of_others(server: Server) -> Iterator[str]:
    """A row for each attack and each kind of rude client."""
    yield head(
        "clients",
        "reply",
        "slowest, s",
        "another client's image p99, s",
        "`/health` p99, s",
        "its failures",
        "memory, MB",
    )
    for name, attack in attacks.ATTACKS.items():
        with watched(server) as watch:
            result = asyncio.run(attacks.run(server.port, attack, 20))
        for problem in result.problems:
            print(f"{name}: {problem}", file=sys.stderr)
        yield row(
            f"{attack.connections} x {name}",
            counted(result.statuses.elements()),
            f"{result.slowest:.1f}",
            *_seen(watch.seen),
        )
    for name, kind in rude.KINDS.items():
        with watched(server) as watch:
            ends = asyncio.run(rude.run(server.port, kind))
        yield row(f"{kind.clients} x {name}", counted(ends.elements()), "", *_seen(watch.seen))


def _seen(seen: Seen) -> tuple[str, ...]:
    failures = counted(itertools.chain(*([name] * count for name, count in seen.failures.items()))) or "0"
    return f"{seen.image_p99():.2f}", f"{seen.health_p99():.3f}", failures, f"{seen.peak_bytes / 1e6:.0f}"


def of_overload(server: Server, seconds: float) -> Iterator[str]:
    """A row for each kind of request."""
    yield head(
        "20 times overload",
        "capacity /s",
        "sent",
        "answered /s",
        "reply",
        "unanswered",
        "429 after, s (p50)",
        "recovery, s",
        "exact waiters accepted",
    )
    for name, make in OVERLOADS.items():
        data = make()
        capacity = measure_capacity(server.port, data, 8, 10)
        load = overload(server.port, data, 20 * capacity, seconds)
        statuses = ", ".join(f"{status} ({count})" for status, count in sorted(load.statuses.items()))
        yield row(
            name,
            f"{capacity:.1f}",
            load.sent,
            f"{load.goodput:.1f}",
            statuses,
            load.unanswered,
            f"{load.refusal_p50:.3f}",
            f"{load.recovery_seconds:.1f}",
            f"{load.accepted} of {load.waited}",
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=500, help="of each format")
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--only", choices=("corpus", "mutants", "others", "overload"), help="one part of the table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.only != "overload":
            with running_server(GOLDEN, Path(folder), *RUNTIME) as server:
                warm_up(server)
                before = server.idle_bytes(3)
                parts = {
                    "corpus": of_corpus(server),
                    "mutants": of_mutants(server, args.mutants),
                    "others": of_others(server),
                }
                for name, lines in parts.items():
                    if args.only in (None, name):
                        for line in lines:
                            print(line, flush=True)
                after = server.idle_bytes(60, 1.2 * before)
                print(f"\nMemory: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after.")
                print(f"Log: {server.log_size() / 1e6:.1f} MB. Faults in it: {server.problems() or 'none'}.")
                print(f"Replies of 500: {server.metric('ijepa_requests_total', status='500'):.0f}.")
        if args.only in (None, "overload"):
            with running_server(ZOO, Path(folder)) as server:
                warm_up(server)
                for line in of_overload(server, args.overload_seconds):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
