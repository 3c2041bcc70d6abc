"""Labelling posts with an LLM behind an OpenAI-compatible server (LM Studio, llama.cpp and others).

`label_chunk` turns a raw chunk into a labelled one; `python -m pipeline.label 0007` is the same by hand and
`python -m pipeline.label --check` compares the LLM with the gold labels in `data/gold/`.
"""

from typing import TYPE_CHECKING, Any

from pipeline.label.answer import (
    Answer,
    CoverageError,
    LabelError,
    LabelReport,
    LabelServerError,
    Progress,
    PromptError,
    QualityError,
)

if TYPE_CHECKING:
    from pipeline.label.chunk import label_chunk

__all__ = [
    "Answer",
    "CoverageError",
    "LabelError",
    "LabelReport",
    "LabelServerError",
    "Progress",
    "PromptError",
    "QualityError",
    "label_chunk",
]


def __getattr__(name: str) -> Any:
    # The store needs `Answer` from here, and whoever opens the store should not pay for the OpenAI SDK.
    if name == "label_chunk":
        from pipeline.label import chunk

        return getattr(chunk, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
