"""Warm start: the Bi-LSTM goes on from the champion's weights. It reads what is new, and a sample of what is known.

A release costs about the same in the hundredth month as in the first. Over forty chunks it was as good as learning all
anew each time (benchmarks/README.md, incremental).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.hashing import position
from pipeline.learn.examples import Example
from pipeline.learn.learned import Learned
from pipeline.model.features import Vocabulary
from pipeline.model.folder import read_metadata
from pipeline.model.network import load_network


@dataclass(frozen=True)
class WarmStart:
    """A trained model to go on from: its version, what it has learned from, and its Bi-LSTM's weights by layer."""

    version: str
    sources: frozenset[str]  # chunk-0007, feedback-0003, feedback-0001-0005
    tokens: tuple[str, ...]
    weights: dict[str, list[np.ndarray]]
    learned: Learned = field(default_factory=Learned.none)

    @classmethod
    def load(cls, folder: Path) -> "WarmStart":
        """From a model's folder. Raises DataFileError, OtherFeatures when its features are another version's."""
        metadata, vocabulary = read_metadata(folder), Vocabulary.load(folder)
        sources = [f"chunk-{number}" for number in metadata.get("chunks", ())]
        sources += [f"feedback-{number}" for number in metadata.get("archives", ())]
        found = cls.of(load_network(folder), vocabulary, metadata["version"], frozenset(sources))
        return replace(found, learned=Learned.load(folder))

    @classmethod
    def of(
        cls, network: Any, vocabulary: Vocabulary, version: str, sources: frozenset[str] = frozenset()
    ) -> "WarmStart":
        """From a network and its vocabulary."""
        weights = {layer.name: layer.get_weights() for layer in network.layers if layer.get_weights()}
        return cls(version, sources, vocabulary.tokens, weights)

    def unsuited(self, network: Any, training: Sequence[Example]) -> str:
        """Why the network can't go on from this model; empty when it can."""
        if not self.fits(network):
            return f"the Bi-LSTM of model {self.version} has another shape"
        return "" if self.news(training) else f"there is nothing that model {self.version} has not learned"

    def news(self, training: Sequence[Example]) -> list[int]:
        """Positions of the posts and corrections that this model has not learned from.

        An archive that was joined from archives is known by its members. Where only some of them are known, each
        correction is looked up.
        """
        known = frozenset[str]().union(*map(_members, self.sources))
        members = {source: _members(source) for source in {example.source for example in training}}
        partly = {source for source, numbers in members.items() if numbers & known and not numbers <= known}
        asked = [i for i, e in enumerate(training) if e.source in partly]
        learned = set(np.array(asked)[self.learned.has([training[i] for i in asked])].tolist()) if asked else set()
        return [
            i
            for i, e in enumerate(training)
            if e.source != "base" and i not in learned and not members[e.source] <= known
        ]

    def fits(self, network: Any) -> bool:
        """Whether the network has this model's shape, but for the size of its vocabulary."""
        return all(
            [weight.shape[-1:] if layer.name == "embedding" else weight.shape for weight in layer.get_weights()]
            == [w.shape[-1:] if layer.name == "embedding" else w.shape for w in self.weights.get(layer.name, ())]
            for layer in network.layers
            if layer.get_weights()
        )

    def chosen_rows(self, training: Sequence[Example], replay: float, seed: int) -> np.ndarray:
        """The examples to read, in order: all news, all corrections, and `replay` known texts for each new one.

        The known texts are drawn by hash, so the order of the rows does not matter.
        """
        new = self.news(training)
        corrected = [i for i, e in enumerate(training) if e.source.startswith("feedback-")]
        taken = {*new, *corrected}
        known = [i for i in range(len(training)) if i not in taken]
        known.sort(key=lambda i: position(training[i].text, f"{seed}\n{self.version}"))
        return np.array(sorted([*taken, *known[: round(replay * len(new))]]), dtype=np.int64)

    def copy_to(self, network: Any, vocabulary: Vocabulary) -> None:
        """Set the network's weights to this model's; a token that it did not know keeps its random vector."""
        for layer in network.layers:
            if layer.name == "embedding":
                (known,), (table,) = self.weights["embedding"], layer.get_weights()
                rows = {token: row for row, token in enumerate(self.tokens, start=2)}
                table[:2] = known[:2]
                for row, token in enumerate(vocabulary.tokens, start=2):
                    if token in rows:
                        table[row] = known[rows[token]]
                layer.set_weights([table])
            elif layer.get_weights():
                layer.set_weights(self.weights[layer.name])


def _members(source: str) -> frozenset[str]:
    """feedback-0001, feedback-0002 and feedback-0003 of feedback-0001-0003; any other source itself."""
    kind, _, numbers = source.partition("-")
    first, _, last = numbers.partition("-")
    if not last:
        return frozenset([source])
    return frozenset(f"{kind}-{number:04d}" for number in range(int(first), int(last) + 1))
