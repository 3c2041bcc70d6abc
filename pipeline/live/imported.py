"""What became of a file's rows when they were imported."""

from dataclasses import dataclass, field


@dataclass
class Imported:
    """Rows of a file: how many there are, how many were new; `bad` are (line in the file, what is wrong with it)."""

    what: str = "posts"
    rows: int = 0
    new: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        known = self.rows - self.new - len(self.bad)
        text = f"{self.rows:,} rows: {self.new:,} new {self.what}, {known:,} known before, {len(self.bad):,} bad"
        return "\n".join([text, *(f"  line {line}: {why}" for line, why in self.bad)])
