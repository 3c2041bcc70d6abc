"""What this branch has frozen and learned, read from its own history: commits, and the tags that they carry.

A tag can be lost to a branch (`git pull --rebase` makes new commits), and another branch or machine can bring any tag;
a commit's subject goes wherever the commit goes. So both count, and only where HEAD's history reaches. Nothing here
looks at a date: a clock that once ran ahead changes no order.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

FREEZE, RELEASE, LEAVE = "Freeze", "Release model", "Leave out"  # how the subjects of our commits begin

_FROZEN = re.compile(rf"{FREEZE} (chunk|feedback) (\d{{4,}})")
_RELEASED = re.compile(rf"{RELEASE} (\d{{8}}T\d{{6}})")
_LEFT = re.compile(rf"{LEAVE} chunk (\d{{4,}}): .*")
_NUMBERED = re.compile(r"(chunk|feedback)-(\d{4,})")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its hash, those of its parents, the first line of its message."""

    id: str
    parents: tuple[str, ...]
    subject: str

    @property
    def name(self) -> str | None:
        """The tag that this commit of ours is made for (`chunk-0007`), None for everybody else's."""
        if found := _FROZEN.fullmatch(self.subject):
            return f"{found[1]}-{found[2]}"
        found = _RELEASED.fullmatch(self.subject)
        return f"model-{found[1]}" if found else None

    @property
    def left_out(self) -> str | None:
        """The chunk that this commit takes out of training before it was ever in."""
        found = _LEFT.fullmatch(self.subject)
        return f"chunk-{found[1]}" if found else None


class History:
    """The commits that HEAD reaches, children before parents, and all our tags on any branch (name to commit)."""

    def __init__(self, commits: Iterable[Commit], tags: Mapping[str, str]) -> None:
        self.commits = {commit.id: commit for commit in commits}
        self.tags = dict(tags)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """What each commit stands for, by its subject and its tags."""
        names: dict[str, list[str]] = {commit.id: [commit.name] for commit in self.commits.values() if commit.name}
        for tag, commit in self.tags.items():
            if commit in self.commits and tag not in names.setdefault(commit, []):
                names[commit].append(tag)
        return names

    def tagged(self, kind: str) -> list[str]:
        """Tags of a kind (chunk, feedback, model) that HEAD's history holds, newest first."""
        order = {commit: place for place, commit in enumerate(self.commits)}
        found = [(order[commit], tag) for tag, commit in self.tags.items() if commit in order]
        return [tag for _, tag in sorted(found) if tag.startswith(f"{kind}-")]

    def holds(self, name: str) -> str | None:
        """The commit of this branch that stands for a name (`chunk-0007`), None when there is none."""
        return next((commit for commit in self.commits if name in self._names.get(commit, ())), None)

    def numbers(self, kind: str) -> set[int]:
        """The numbers of chunks or feedback archives that this branch has frozen."""
        names = [name for found in self._names.values() for name in found]
        return {int(found[2]) for name in names if (found := _NUMBERED.fullmatch(name)) and found[1] == kind}

    def highest(self, kind: str) -> int:
        """The highest number known of a kind, on this branch or by a tag anywhere; 0 when there is none."""
        found = (_NUMBERED.fullmatch(tag) for tag in self.tags)
        return max(self.numbers(kind) | {int(match[2]) for match in found if match and match[1] == kind}, default=0)

    def says(self, subject: str) -> bool:
        """Whether a commit of this branch has this subject."""
        return any(commit.subject == subject for commit in self.commits.values())

    def newest_model(self) -> str | None:
        """The commit that released the newest model: newest by history, whatever the clocks said."""
        return next((c for c in self.commits if any(n.startswith("model-") for n in self._names.get(c, ()))), None)

    def has_model(self, version: str) -> bool:
        """Whether a model of this version was released, here or on another branch."""
        return f"model-{version}" in self.tags or self.holds(f"model-{version}") is not None

    def unlearned(self) -> list[str]:
        """Names of chunks and archives that came after the newest model, sorted; without chunks that were left out."""
        model = self.newest_model()
        known = set(self._with_ancestors(model)) if model else set()
        new = [commit for commit in self.commits if commit not in known]
        left_out = {name for commit in new if (name := self.commits[commit].left_out)}
        names = {name for commit in new for name in self._names.get(commit, ()) if not name.startswith("model-")}
        learned = {name for commit in known for name in self._names.get(commit, ())}
        return sorted(names - left_out - learned)

    def _with_ancestors(self, commit: str) -> Iterator[str]:
        seen, waiting = set(), [commit]
        while waiting:
            current = waiting.pop()
            if current in seen or current not in self.commits:  # a shallow clone ends somewhere
                continue
            seen.add(current)
            yield current
            waiting.extend(self.commits[current].parents)
