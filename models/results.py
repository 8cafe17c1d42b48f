"""What was measured of a network: the values that `ijepa probe --json` writes and a bundle carries, and the Markdown of them."""

from pathlib import Path

from pydantic import ValidationError

from models.config import Frozen
from models.errors import ConfigError


class ScoreRow(Frozen):
    """Test accuracy of one probe on one kind of features, a share, with its 95 % interval."""

    features: str
    numbers: int
    probe: str
    accuracy: float
    low: float
    high: float
    chosen: str

    def cell(self) -> str:
        """In per cent, with what the probe chose."""
        return f"{100 * self.accuracy:.2f} ({100 * self.low:.1f} to {100 * self.high:.1f}) {self.chosen}".rstrip()


class SwapRow(Frozen):
    """How often a foreign block has the higher energy: of the pairs far apart (with the interval and mean energies), and of all."""

    network: str
    pairs: int
    higher: float
    low: float
    high: float
    own_energy: float
    foreign_energy: float
    all_pairs: int
    all_higher: float


class Results(Frozen):
    """Everything that was measured, on `data`, of a network: a checkpoint itself, or a bundle made of it."""

    checkpoint_sha256: str
    network: str
    grid: tuple[int, int]
    data: str
    rows: tuple[ScoreRow, ...] = ()
    swap: tuple[SwapRow, ...] = ()

    def difference(self, precision: str) -> dict[str, float]:
        """Points of linear accuracy that a precision gains or loses against float32, by pooling, where both were measured."""
        linear = {row.features: 100 * row.accuracy for row in self.rows if row.probe == "linear"}
        before, trained = f"trained in {precision}, ", "trained, "
        pairs = {name.removeprefix(before): value for name, value in linear.items() if name.startswith(before)}
        return {
            name: round(value - linear[trained + name], 2) for name, value in pairs.items() if trained + name in linear
        }

    def markdown(self) -> str:
        """A sentence that says on what, and the tables."""
        parts = [f"Of the {self.network}, on {self.data}.", *self._scores(), *self._swapped()]
        return "\n\n".join(parts) + "\n"

    def _scores(self) -> list[str]:
        """A line for each kind of features, a column for each probe; chance is a sentence."""
        rows = [row for row in self.rows if row.features != "chance"]
        if not rows:
            return []
        chance = [f" Chance: {row.cell()}." for row in self.rows if row.features == "chance"]
        probes = list(dict.fromkeys(row.probe for row in rows))
        lines = [f"| features | numbers | {' | '.join(probes)} |", f"|{'---|' * (len(probes) + 2)}"]
        for features in dict.fromkeys(row.features for row in rows):
            cells = {row.probe: row.cell() for row in rows if row.features == features}
            numbers = next(row.numbers for row in rows if row.features == features)
            lines.append(f"| {features} | {numbers} | {' | '.join(cells.get(probe, '') for probe in probes)} |")
        return [f"Test accuracy in per cent, with its 95 % interval.{''.join(chance)}", "\n".join(lines)]

    def _swapped(self) -> list[str]:
        if not self.swap:
            return []
        lines = [
            "| network | pairs | foreign block has the higher energy | energy, own block | foreign block |",
            f"|{'---|' * 5}",
        ]
        for row in self.swap:
            share = f"{100 * row.higher:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f})"
            pairs = f"{row.pairs:,} of {row.all_pairs:,}"
            lines.append(f"| {row.network} | {pairs} | {share} | {row.own_energy:.4f} | {row.foreign_energy:.4f} |")
        what = (
            "Swapped blocks: a block of each picture is replaced by the same place of another picture; counted are pairs whose "
            "blocks differ by more than 30 grey levels on average."
        )
        return [what, "\n".join(lines)]


def read_results(path: Path) -> Results:
    """What `ijepa probe --json` wrote.

    Raises:
        ConfigError: the file holds something else.
    """
    try:
        return Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise ConfigError(f"{path} is not what 'ijepa probe --json' writes: at {where}, {first['msg']}") from error
