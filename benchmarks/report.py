"""What the results of the benchmarks share as Markdown: the machine, the engines alone, what was not measured."""

import statistics
from collections.abc import Iterable
from typing import Any

import numpy as np


def machine_lines(results: dict[str, Any]) -> str:
    """A list of the machine and of the settings."""
    settings = {"model": results["encoder"]["bundle"], **results["settings"]}
    shown = ("model", "rounds", "photographs", "seconds", "open_seconds")
    described = ", ".join(f"{name.replace('_', '-')} {settings[name]}" for name in shown if name in settings)
    return "\n".join(f"- {name}: {text}" for name, text in [*results["machine"].items(), ("settings", described)])


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def median(values: Iterable[float]) -> float:
    """NaN of nothing."""
    known = list(values)
    return statistics.median(known) if known else float("nan")


def engine_rates(results: dict[str, Any], way: str) -> dict[str, float]:
    """Images a second by batch size, medians; empty where it was skipped."""
    done = [measured["rates"] for measured in results["engines"].get(way, []) if "rates" in measured]
    return {batch: median(rates[batch] for rates in done) for batch in (done[0] if done else ())}


def single_figures(results: dict[str, Any], way: str) -> dict[str, float]:
    """The medians of `gemm` and `decode`."""
    done = [measured for measured in results["engines"].get(way, []) if "skipped" not in measured]
    return {name: median(measured[name] for measured in done) for name in (done[0] if done else ())}


def engines_table(results: dict[str, Any]) -> str:
    """Each engine alone; the share is of the GEMM peak of its own type, in the best batch size."""
    peaks, rows = single_figures(results, "gemm"), []
    for way in results["engines"]:
        if rates := engine_rates(results, way):
            what = next(measured["what"] for measured in results["engines"][way] if "what" in measured)
            peak = peaks.get(what.replace(", compiled", "").rpartition(", ")[2])
            best = max(rates.values())
            share = f"{best * results['encoder']['gflop'] / peak:.0%}" if peak else ""
            rows.append((way, what, *(f"{rate:.1f}" for rate in rates.values()), share))
    batches = next((list(engine_rates(results, way)) for way in results["engines"] if engine_rates(results, way)), [])
    text = table(("engine alone", "what", *(f"batch {batch}, images/s" for batch in batches), "share of GEMM"), rows)
    notes = [f"GEMM {name} {rate:,.0f} GFLOP/s" for name, rate in peaks.items()]
    if decode := single_figures(results, "decode"):
        notes.append(f"decode and resize on one thread {decode['rate']:.0f} images/s")
    notes.append(f"{results['encoder']['gflop']:.2f} GFLOP an image")
    return f"{text}\n\n{'; '.join(notes)}"


def skipped_lines(results: dict[str, Any]) -> str:
    """What was not measured, with the reason."""
    named = {name: entry["rounds"] for name, entry in results["contestants"].items()} | results["engines"]
    return "\n".join(
        f"- {name}, round {turn + 1}: skipped: {done['skipped']}"
        for name, rounds in named.items()
        for turn, done in enumerate(rounds)
        if "skipped" in done
    )


def vector_of(document: Any) -> list[float]:
    """The first list of numbers in a JSON document, at whatever place a server puts it.

    Raises:
        RuntimeError: there is none.
    """
    waiting = [document]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, list) and value and isinstance(value[0], int | float):
            return value
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    raise RuntimeError(f"the answer has no vector: {str(document)[:200]}")


def smallest_agreement(vectors: np.ndarray, reference: np.ndarray) -> float:
    """The smallest cosine of rows [B, D] to those of the reference, the reference's mean taken from both.

    Lengths are not compared: some tools scale vectors to length 1.
    """
    lengths = np.linalg.norm(reference, axis=1, keepdims=True) / np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = reference.mean(axis=0)
    left, right = vectors * lengths - mean, reference - mean
    cosines = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    return float(cosines.min())
