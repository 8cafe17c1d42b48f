"""`ijepa embed` beside other tools for many images: `python -m benchmarks.bulk --bundle DIR --checkpoint DIR --images DIR`.

Each contestant embeds the same folder of JPEGs with the same weights and writes the vectors to files, in a process of its own, alone.
Rounds alternate, and the engines alone are measured in every round. Printed are medians of photographs a second of the whole command,
and without its start: a few photographs are embedded first, and their number and time are taken from both. `--json` gets all values.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.bulk_table import BULK_CONTESTANTS
from benchmarks.contestants.fastembed_graph import write_fastembed_folder
from benchmarks.machine import describe_machine
from benchmarks.material import WAYS, Material, describe_progress, names_of, prepare, run_engine
from benchmarks.photographs import write_photographs
from benchmarks.processes import ProcessError, end_on_sigterm, run_to_end
from benchmarks.report import engines_table, machine_lines, median, skipped_lines, smallest_agreement, table
from models.bundle.reader import read_bundle

N_FIRST = 32
"""Photographs of the run that tells what starting costs."""
TIMEOUT_S = 3600
OURS, AUTO = "ours", "auto:auto"


def main() -> None:
    """Measure and print."""
    args = parse_arguments()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="bulk-benchmark-") as folder:
        work = Path(folder)
        material = prepare(args.bundle, args.checkpoint, args.images, args.photographs, work)
        first = write_photographs(args.images, work / "first", N_FIRST)
        environment = dict(material.environment)
        if any(name.startswith("fastembed") for name in args.contestants):
            manifest = read_bundle(material.bundle).manifest
            write_fastembed_folder(material.folders["timm"], manifest.model.pixels, work / "fastembed")
            environment |= {"FASTEMBED_FOLDER": str(work / "fastembed"), "DIMENSIONS": str(manifest.poolings["mean"])}
        results: dict[str, Any] = {
            "machine": describe_machine(args.peers_python),
            "settings": {name: str(value) for name, value in vars(args).items()},
            "encoder": material.encoder,
            "contestants": {
                name: {"setting": BULK_CONTESTANTS[name].setting, "rounds": []} for name in args.contestants
            },
            "engines": {way: [] for way in args.engines},
        }
        reference = run_engine("reference", material).get("vectors")
        for turn in range(args.rounds):
            for way in args.engines:
                describe_progress(f"round {turn + 1} of {args.rounds}: engine {way}")
                results["engines"][way].append(run_engine(way, material, args.engine_seconds))
            for name in args.contestants:
                describe_progress(f"round {turn + 1} of {args.rounds}: {name}")
                done = measure_contestant(name, args.peers_python, material, first, environment, reference)
                results["contestants"][name]["rounds"].append(done)
                if args.json:
                    args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(write_report(results))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True, help="a bundle's folder")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the checkpoint that the bundle was made of")
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--photographs", type=int, default=2000, help="how many are made of them and embedded (2000)")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python of the contestants' environment")
    names = list(BULK_CONTESTANTS)
    parser.add_argument("--contestants", type=names_of(names), default=names, help="names with commas (all)")
    ways = [*WAYS, "decode", "gemm"]
    parser.add_argument("--engines", type=names_of(ways), default=ways, help="names with commas (all)")
    parser.add_argument("--engine-seconds", type=float, default=2, help="of each batch size of an engine (2)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="a file for all values")
    return parser.parse_args()


def measure_contestant(
    name: str, peers_python: str, material: Material, first: list[Path], environment: dict[str, str], reference: Any
) -> dict[str, Any]:
    """Both runs of one contestant; `{"skipped": reason}` where one fails."""
    contestant = BULK_CONTESTANTS[name]
    python = sys.executable if contestant.ours else peers_python
    measured: dict[str, Any] = {}
    for run, photographs in (("first", first), ("all", material.photographs)):
        with tempfile.TemporaryDirectory(prefix="bulk-output-") as out:
            filled = contestant.arguments.format(folder=photographs[0].parent, out=out, bundle=material.bundle)
            log = Path(out).with_suffix(".log")
            start = time.perf_counter()
            try:
                run_to_end([python, *filled.split()], {**environment, **contestant.environment}, log, TIMEOUT_S)
                measured[run] = {"photographs": len(photographs), "seconds": time.perf_counter() - start}
                vectors = read_vectors(Path(out))
            except (ProcessError, OSError, RuntimeError) as error:
                return {"skipped": f"{run} run: {error}"}
            finally:
                log.unlink(missing_ok=True)
            if len(vectors) != len(photographs):
                return {"skipped": f"{run} run: {len(vectors)} vectors of {len(photographs)} photographs"}
    if reference:
        measured["agreement"] = smallest_agreement(vectors[: len(reference)], np.array(reference))
    return measured


def read_vectors(out: Path) -> np.ndarray:
    """Vectors [N, D] in the order of the files' names, from an array or from Parquet files with a place and an embedding.

    Raises:
        RuntimeError: there is neither.
    """
    import pyarrow.parquet as parquet

    if (saved := out / "vectors.npy").exists():
        return np.load(saved)
    rows: list[tuple[str, list[float]]] = []
    for path in out.rglob("*.parquet"):
        read = parquet.read_table(path)
        place = "uri" if "uri" in read.column_names else "path"
        rows += zip(read[place].to_pylist(), read["embedding"].to_pylist(), strict=True)
    if not rows:
        raise RuntimeError("it wrote no vectors")
    return np.array([vector for _, vector in sorted(rows)], np.float32)


def write_report(results: dict[str, Any]) -> str:
    """The whole page."""
    parts = [machine_lines(results), engines_table(results), contestants_table(results), ratios_table(results)]
    return "\n\n".join([*parts, skipped_lines(results)])


def rates(rounds: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Photographs a second of the whole command, and without its start, a value a round."""
    done = [measured for measured in rounds if "all" in measured]
    whole = [each["all"]["photographs"] / each["all"]["seconds"] for each in done]
    steady = [
        (each["all"]["photographs"] - each["first"]["photographs"])
        / max(1e-9, each["all"]["seconds"] - each["first"]["seconds"])
        for each in done
    ]
    return whole, steady


def contestants_table(results: dict[str, Any]) -> str:
    """One row a contestant."""
    rows = []
    for name, entry in results["contestants"].items():
        whole, steady = rates(entry["rounds"])
        if whole:
            agreements = [done["agreement"] for done in entry["rounds"] if "agreement" in done]
            rows.append(
                (
                    name, entry["setting"], f"{median(whole):.1f}", f"{min(whole):.1f} to {max(whole):.1f}",
                    f"{median(steady):.1f}", f"{median(agreements):.4f}",
                )
            )  # fmt: skip
    head = ("bulk", "setting", "images/s, whole command", "range", "images/s without its start", "agreement")
    return table(head, rows)


def ratios_table(results: dict[str, Any]) -> str:
    """Ours against the engine and the others."""
    by_name = {name: rates(entry["rounds"]) for name, entry in results["contestants"].items()}
    engine = median(max(done["rates"].values()) for done in results["engines"].get(AUTO, []) if "rates" in done)
    ours = [median(values) for values in by_name.get(OURS, ([], []))]
    rows = [("ours / engine alone", ours[0] / engine, ours[1] / engine)]
    rows += [
        (f"ours / {name}", ours[0] / median(whole), ours[1] / median(steady))
        for name, (whole, steady) in by_name.items()
        if name != OURS
    ]
    head = ("ratio", "whole command", "without its start")
    return table(head, [(name, f"{a:.2f}", f"{b:.2f}") for name, a, b in rows if not np.isnan(a)])


if __name__ == "__main__":
    main()
