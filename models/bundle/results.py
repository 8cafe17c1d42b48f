"""Results of probes: the records that `ijepa probe --json` writes and a manifest has, and their Markdown."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.config import Frozen
from models.errors import ConfigError, validation_sentence
from models.io import read_json


class ScoreRow(Frozen):
    """Test accuracy (0 to 1) of one probe on one kind of features, with its 95 % interval."""

    features: str
    dimensions: int
    probe: str
    accuracy: float
    low: float
    high: float
    chosen: str

    def cell(self) -> str:
        """The accuracy in per cent, with the hyperparameter that the probe chose."""
        return f"{100 * self.accuracy:.2f} ({100 * self.low:.1f} to {100 * self.high:.1f}) {self.chosen}".rstrip()


class SwapRow(Frozen):
    """How often a mismatched block has the higher energy: among pairs that differ clearly (with interval and mean energies) and all."""

    network: str
    pairs: int
    higher: float
    low: float
    high: float
    own_energy: float
    mismatched_energy: float
    all_pairs: int
    all_higher: float


class Results(Frozen):
    """Everything that was measured on `data` of a network: a checkpoint, or a bundle exported from it."""

    checkpoint_sha256: str
    network: str
    grid: tuple[int, int]
    data: str
    rows: tuple[ScoreRow, ...] = ()
    swap: tuple[SwapRow, ...] = ()

    def difference(self, precision: str) -> dict[str, float]:
        """Linear accuracy in a precision minus that in float32, in percentage points, by pooling, where both were measured."""
        linear = {row.features: 100 * row.accuracy for row in self.rows if row.probe == "linear"}
        before, trained = f"trained in {precision}, ", "trained, "
        pairs = {name.removeprefix(before): value for name, value in linear.items() if name.startswith(before)}
        return {
            name: round(value - linear[trained + name], 2) for name, value in pairs.items() if trained + name in linear
        }

    def markdown(self) -> str:
        """A sentence on the network and the data, and the tables."""
        parts = [f"Of the {self.network}, on {self.data}.", *self._scores(), *self._swapped()]
        return "\n\n".join(parts) + "\n"

    def _scores(self) -> list[str]:
        """A row for each kind of features, a column for each probe; chance is a sentence."""
        rows = [row for row in self.rows if row.features != "chance"]
        if not rows:
            return []
        chance = [f" Chance: {row.cell()}." for row in self.rows if row.features == "chance"]
        probes = list(dict.fromkeys(row.probe for row in rows))
        lines = [f"| features | dimensions | {' | '.join(probes)} |", f"|{'---|' * (len(probes) + 2)}"]
        for features in dict.fromkeys(row.features for row in rows):
            cells = {row.probe: row.cell() for row in rows if row.features == features}
            dimensions = next(row.dimensions for row in rows if row.features == features)
            lines.append(f"| {features} | {dimensions} | {' | '.join(cells.get(probe, '') for probe in probes)} |")
        return [f"Test accuracy in per cent, with its 95 % interval.{''.join(chance)}", "\n".join(lines)]

    def _swapped(self) -> list[str]:
        if not self.swap:
            return []
        lines = [
            "| network | pairs | mismatched block has the higher energy | energy, own block | mismatched block |",
            f"|{'---|' * 5}",
        ]
        for row in self.swap:
            share = f"{100 * row.higher:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f})"
            pairs = f"{row.pairs:,} of {row.all_pairs:,}"
            lines.append(f"| {row.network} | {pairs} | {share} | {row.own_energy:.4f} | {row.mismatched_energy:.4f} |")
        what = (
            "Mismatched blocks: a block of each image is replaced by the same place of another image; counted are pairs whose "
            "blocks differ by more than 30 grey levels on average."
        )
        return [what, "\n".join(lines)]


def read_results(path: Path) -> Results:
    """Read what `ijepa probe --json` wrote, also with the old field names.

    Raises:
        ConfigError: another file.
    """
    try:
        return Results.model_validate(rename_fields(read_json(path)))
    except ValidationError as error:
        raise ConfigError(f"{path} is not what 'ijepa probe --json' writes: {validation_sentence(error)}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not what 'ijepa probe --json' writes: {error}") from error


RENAMED = {"pictures": "images", "numbers": "dimensions", "foreign_energy": "mismatched_energy"}
"""Old field names, in manifests of formats 1 and 2 and results written with them, and their new names."""


def rename_fields(value: Any) -> Any:
    """Replace old field names in a JSON document, at any depth."""
    if isinstance(value, dict):
        return {RENAMED.get(key, key): rename_fields(item) for key, item in value.items()}
    return [rename_fields(item) for item in value] if isinstance(value, list) else value
