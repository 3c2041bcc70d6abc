"""The versioned prompt: reading it, cutting a post to what the LLM is shown, and the messages of one question.

What is shown is also what is hashed: a label in the cache belongs to exactly this text.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.files import DataFileError, read_text
from pipeline.hashing import content_hash
from pipeline.label.records import PromptError
from pipeline.text import normalise

PROMPTS = Path(__file__).resolve().parent.parent / "prompts"
TITLE_CHARS = 100  # Inven's titles are far shorter; a longer one would push the body out
GAP = " … "

# Control strings of chat models: written in a post, a server reads them as the end of the post and the
# beginning of somebody else's turn (measured: 20 of 20 labels flipped). In the forms <end_of_turn>,
# <|im_start|>, <turn|>, <unused12>, </s>, and Mistral's [INST]; also the marks of our own prompt.
_TAG = re.compile(r"<([|/｜]?[A-Za-z_\"][^<>\n]{0,60})>")
_TAG_START = re.compile(r"<(?=[|/｜A-Za-z_])")
_TAG_END = re.compile(r"(?<=[|｜])>")
_BRACKET = re.compile(r"\[(/?(?:글|INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK))\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Example:
    """A post with its right label."""

    title: str
    body: str
    label: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file. `words[i]` is the answer word for label i; `digest` the SHA-256 of the file's text."""

    name: str
    digest: str
    instructions: str
    turn: str
    words: tuple[str, str, str]
    shots: tuple[Example, ...]
    calibration: tuple[Example, ...]

    def messages(self, shown: str) -> list[dict[str, str]]:
        """The chat messages that ask about one post (`shown_text`).

        No system turn (Gemma 3 has none): the first user turn carries the instructions. The post stands at
        the very end, so everything before it is the same bytes for every post and servers keep it cached.
        """
        turns: list[dict[str, str]] = []
        for example in self.shots:
            question = self.question(shown_text(example.title, example.body, max_chars=10_000))
            turns.append({"role": "user", "content": question})
            turns.append({"role": "assistant", "content": self.words[example.label]})
        turns.append({"role": "user", "content": self.question(shown)})
        turns[0]["content"] = f"{self.instructions}\n\n{turns[0]['content']}"
        return turns

    def question(self, shown: str) -> str:
        """The turn that asks about one post."""
        return self.turn.replace("{post}", shown)


def load_prompt(name: str, folder: Path = PROMPTS) -> Prompt:
    """The prompt `name` (file `<name>.toml`). Raises PromptError."""
    path = folder / f"{name}.toml"
    try:
        text = read_text(path)
        document = tomllib.loads(text)
    except DataFileError as error:
        if path.exists():
            raise PromptError(str(error)) from None
        found = ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
        raise PromptError(f"there is no prompt {name!r}: {path} is missing (there: {found})") from None
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path} is not valid TOML: {error}") from None

    if document.get("name") != name:
        raise PromptError(f"{path} calls itself {document.get('name')!r}: `name` must be {name!r}")
    words = _words(path, document.get("words"))
    section = document.get("text")
    texts = section if isinstance(section, dict) else {}
    instructions, turn = (_text(path, texts, key) for key in ("instructions", "turn"))
    if turn.count("{post}") != 1:
        raise PromptError(f"{path}: text.turn must hold {{post}} exactly once")
    shots = _examples(path, document, "shots", words)
    calibration = _examples(path, document, "calibration", words)
    counts = [sum(item.label == label for item in calibration) for label in range(3)]
    if len(set(counts)) != 1 or counts[0] < 3:
        raise PromptError(f"{path}: calibration must hold the same number (3 or more) a label, not {counts}")
    if {(item.title, item.body) for item in shots} & {(item.title, item.body) for item in calibration}:
        raise PromptError(f"{path}: a calibration text is also an example: its answer would be given away")
    digest = content_hash(text)  # without a mark and with LF: the same on every checkout
    return Prompt(name, digest, instructions, turn, words, shots, calibration)


def shown_text(title: str, body: str, max_chars: int) -> str:
    """What the LLM is shown of a post: title, then the body's head and tail, at most `max_chars` characters.

    Normalised (NFC, no invisible characters), models' control strings made harmless. A long rant's verdict
    often stands at its end, so a third of the body's room goes to its tail.
    """
    title, body = normalise(title)[:TITLE_CHARS], normalise(body)
    room = max(max_chars - len(title) - 1, 2 * len(GAP))
    if len(body) > room:
        tail = (room - len(GAP)) // 3
        head = room - len(GAP) - tail
        body = body[:head].rstrip() + GAP + body[len(body) - tail :].lstrip()
    return neutralise(f"{title}\n{body}".strip()[:max_chars])


def neutralise(text: str) -> str:
    """The text with models' control strings made harmless; as long as before (＜ ＞ ［ ］ are one character)."""
    text = _TAG.sub(r"＜\1＞", text)
    text = _TAG_START.sub("＜", text)
    text = _TAG_END.sub("＞", text)
    return _BRACKET.sub(r"［\1］", text)


def text_hash(shown: str) -> str:
    """The cache's key of a shown text: its SHA-256 as 64 hex digits."""
    return content_hash(shown)


def _words(path: Path, table: Any) -> tuple[str, str, str]:
    by_label = {label: word for word, label in table.items()} if isinstance(table, dict) else {}
    if set(by_label) != {0, 1, 2} or len(table) != 3:
        raise PromptError(f"{path}: [words] must give exactly one word each for 0, 1 and 2")
    if len({word[:1] for word in by_label.values()}) != 3 or "" in by_label.values():
        raise PromptError(f"{path}: [words] must begin with different characters: one token tells them apart")
    return by_label[0], by_label[1], by_label[2]


def _text(path: Path, table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise PromptError(f"{path}: text.{key} is missing")
    return value.strip()


def _examples(path: Path, document: dict[str, Any], key: str, words: tuple[str, str, str]) -> tuple[Example, ...]:
    items = document.get(key)
    if not isinstance(items, list) or not items:
        raise PromptError(f"{path}: [[{key}]] is missing")
    examples = []
    for position, item in enumerate(items, start=1):
        fields = item if isinstance(item, dict) else {}
        title, body, word = (fields.get(name) for name in ("title", "body", "label"))
        if not isinstance(title, str) or not isinstance(body, str) or word not in words:
            raise PromptError(f"{path}: [[{key}]] number {position} needs title, body and a label of {words}")
        examples.append(Example(title, body, words.index(word)))
    return tuple(examples)
