"""The results of `benchmarks.serving` as Markdown: medians over the rounds, and the ratios that the project promises."""

from typing import Any

import numpy as np

from benchmarks.report import (
    engine_rates,
    engines_table,
    machine_lines,
    median,
    single_figures,
    skipped_lines,
    table,
)

OURS = "ours"
AUTO = "auto:auto"


def write_report(results: dict[str, Any]) -> str:
    """The whole page."""
    parts = [machine_lines(results), engines_table(results), closed_table(results), open_table(results)]
    return "\n\n".join(
        [*parts, ready_line(results), table(("ratio", "value"), ratios(results)), skipped_lines(results)]
    )


def measured_rounds(results: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The rounds in which a contestant was measured."""
    return [done for done in results["contestants"].get(name, {"rounds": []})["rounds"] if "closed" in done]


def figure(results: dict[str, Any], name: str, loop: str, at: str, what: str) -> float:
    """The median of one figure of a contestant, NaN where there is none."""
    return median(done[loop][at][what] for done in measured_rounds(results, name) if at in done[loop])


def ready_line(results: dict[str, Any]) -> str:
    """From the start of the process to the first answer."""
    seconds = {
        name: median(done["ready_s"] for done in measured_rounds(results, name)) for name in results["contestants"]
    }
    return (
        f"first answer after: {', '.join(f'{name} {value:.1f} s' for name, value in seconds.items() if value == value)}"
    )


def closed_table(results: dict[str, Any]) -> str:
    """Capacity by connections."""
    rows = []
    for name, entry in results["contestants"].items():
        rounds = measured_rounds(results, name)
        for at in rounds[0]["closed"] if rounds else ():
            rates = [done["closed"][at]["rate"] for done in rounds]
            values = {
                what: figure(results, name, "closed", at, what) for what in ("p50_ms", "p99_ms", "errors", "client_ms")
            }
            rows.append(
                (
                    name, entry["setting"], at, f"{median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}",
                    f"{values['p50_ms']:.0f}", f"{values['p99_ms']:.0f}", f"{values['errors']:.0f}",
                    f"{values['client_ms']:.2f}", agreement_of(rounds),
                )
            )  # fmt: skip
    head = (
        "closed loop", "setting", "connections", "images/s", "range", "p50, ms", "p99, ms", "errors", "client, CPU ms a request",
        "agreement",
    )  # fmt: skip
    return table(head, rows)


def agreement_of(rounds: list[dict[str, Any]]) -> str:
    """The smallest mean-centred cosine to torch in float32."""
    return next((f"{done['agreement']:.4f}" for done in rounds if "agreement" in done), "")


def open_table(results: dict[str, Any]) -> str:
    """Latency at shares of the capacity."""
    rows = []
    for name in results["contestants"]:
        rounds = measured_rounds(results, name)
        for at in rounds[0]["open"] if rounds else ():
            rate, p50, p99, errors, client = (
                figure(results, name, "open", at, what) for what in ("rate", "p50_ms", "p99_ms", "errors", "client_ms")
            )
            share = f"{float(at):.0%}"
            rows.append((name, share, f"{rate:.1f}", f"{p50:.1f}", f"{p99:.1f}", f"{errors:.0f}", f"{client:.2f}"))
    head = ("open loop", "of capacity", "arrivals/s", "p50, ms", "p99, ms", "errors", "client, CPU ms a request")
    return table(head, rows)


def ratios(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Ours against the engine and the others."""
    clients = results["settings"]["clients"]
    ours = figure(results, OURS, "closed", clients, "rate")
    auto = engine_rates(results, AUTO)
    engine, single = max(auto.values(), default=float("nan")), 1000 / auto.get("1", float("nan"))
    decode = 1000 / single_figures(results, "decode").get("rate", float("nan"))
    rows = [(f"ours at {clients} connections / engine alone", ours / engine)]
    rows += [
        (f"engine auto / {way}", engine / max(engine_rates(results, way).values(), default=float("nan")))
        for way in ("onnxruntime:float32", "compiled:bfloat16")
    ]
    others = {name: figure(results, name, "closed", clients, "rate") for name in results["contestants"] if name != OURS}
    rows += [(f"ours / {name}", ours / rate) for name, rate in others.items()]
    latency = figure(results, OURS, "closed", "1", "p50_ms")
    rows.append(("one connection, p50 less decoding and the engine at batch 1, ms", latency - decode - single))
    rows.append(("p99 at half the capacity / one inference", figure(results, OURS, "open", "0.5", "p99_ms") / single))
    rates = [
        figure(results, OURS, "closed", at, "rate")
        for at in (measured_rounds(results, OURS) or [{"closed": {}}])[0]["closed"]
        if int(at) >= 16
    ]
    rows.append(
        ("smallest / largest rate from 16 connections", min(rates, default=np.nan) / max(rates, default=np.nan))
    )
    return [(name, f"{value:.2f}") for name, value in rows if not np.isnan(value)]
