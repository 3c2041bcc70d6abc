"""Which questions the database knows the answer to, which are to be asked, and how samples become one answer.

Answers are kept raw, by (text hash, labeler). What is asked again on purpose (gold, repeats, canaries, samples) is
kept beside the labels under a name of its own, so that a rerun of a chunk asks nothing twice either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.label.dispatch import Question
from pipeline.label.prompt import text_hash
from pipeline.label.samples import majority
from pipeline.live.records import Answer
from pipeline.live.store import Store

_NOTHING = Answer(label=None, note="nothing to show: title and body are empty", kind="empty post", lasting=True)


class Cache:
    """The answers of one labeler. `samples`: how often each text is asked for one answer, 0 for once."""

    def __init__(self, store: Store, name: str, fingerprint: str, samples: int) -> None:
        self._store, self._name, self._fingerprint, self._samples = store, name, fingerprint, samples

    def look_up(self, wanted: Mapping[str, Sequence[str]]) -> tuple[dict[Question, Answer], list[Question]]:
        """What is known already, and the questions that are not, in the order to ask them. By purpose, shown texts."""
        known: dict[Question, Answer] = {}
        missing: list[list[Question]] = []
        for purpose, texts in wanted.items():
            hashes = {text: text_hash(text) for text in texts if text}
            if "" in texts:
                known[Question(purpose, "")] = _NOTHING
            unknown = []
            for sample in range(self._samples or 1):
                cached = self._store.cached_answers(list(hashes.values()), self._kept_as(purpose, sample))
                for text, key in hashes.items():
                    question = Question(purpose, text, sample)
                    if key in cached:
                        known[question] = cached[key]
                    else:
                        unknown.append(question)
            # Texts that begin alike stand together: a server's prefix cache then holds for a little more.
            missing.append(sorted(unknown) if not purpose else unknown)
        return known, _mixed(missing)

    def again(self, questions: Iterable[Question]) -> dict[Question, Answer]:
        """What is known of these questions now."""
        asked: dict[str, list[str]] = {}
        for question in questions:
            asked.setdefault(question.purpose, []).append(question.text)
        return self.look_up(asked)[0]

    def accept(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """A chunk was written from these answers: they stay."""
        for name, hashes in self._keys(wanted):
            self._store.accept_answers(hashes, name)

    def set_aside(self, wanted: Mapping[str, Sequence[str]], reason: str, *, unlabelled: bool = False) -> int:
        """Keep these answers where nobody uses them, so that they are asked anew. Returns how many.

        Not those that a written chunk was made of; with `unlabelled` only texts without a label, of any chunk.
        """
        return sum(
            self._store.set_answers_aside(hashes, name, reason, unlabelled=unlabelled)
            for name, hashes in self._keys(wanted)
        )

    def save(self, answers: Sequence[tuple[Question, Answer]]) -> None:
        """Keep raw answers."""
        for kept in {(question.purpose, question.sample) for question, _ in answers}:
            batch = [(text_hash(q.text), answer) for q, answer in answers if (q.purpose, q.sample) == kept]
            self._store.save_answers(self._kept_as(*kept), batch)

    def one(self, found: Mapping[Question, Answer], purpose: str, text: str) -> Answer:
        """The answer to one text, from its samples if there are several."""
        if not self._samples or not text:
            return found[Question(purpose, text)]
        return majority([found[Question(purpose, text, sample)] for sample in range(self._samples)])

    def _keys(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[str]]]:
        """The names that answers are kept under, with text hashes."""
        for purpose, texts in wanted.items():
            hashes = sorted({text_hash(text) for text in texts if text})
            for sample in range(self._samples or 1):
                yield self._kept_as(purpose, sample), hashes

    def _kept_as(self, purpose: str, sample: int) -> str:
        if self._samples:
            return f"{self._fingerprint}/{purpose}#{sample}"
        return f"{self._fingerprint}/{purpose}" if purpose else self._name


def _mixed(groups: Sequence[Sequence[Question]]) -> list[Question]:
    """All questions, each group spread evenly over the whole: what is measured holds for the whole run."""
    placed = [
        ((place + 0.5) / len(group), number, question)
        for number, group in enumerate(groups)
        for place, question in enumerate(group)
    ]
    return [question for _, _, question in sorted(placed, key=lambda item: item[:2])]
