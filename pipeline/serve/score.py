"""Score: keywords and the production model's mood for collected posts, so that the page shows today's mood.

What made a post's keywords and its prediction is kept with it. When the dictionary, the tokenizer or the model changes,
the old ones are made again, some in each run, after the new posts.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.live.records import Prediction
from pipeline.live.store import Store
from pipeline.serve.classifier import Classifier
from pipeline.text import TOKENIZERS, fingerprint, join_post, keywords


def keywords_version() -> str:
    """What makes keywords now, 16 hex digits: another tokenizer, dictionary or code has another."""
    return fingerprint("kiwi")[:16]  # `pipeline.text.keywords` is made with it, whatever the model reads


def scorer(metadata: Mapping[str, Any]) -> str:
    """What makes predictions with the model of this metadata: its version, and its tokenizer as it is here and now."""
    return f"{metadata['version']}-{fingerprint(metadata.get('tokenizer') or TOKENIZERS[0])[:12]}"


def extract_keywords(store: Store, limit: int) -> int:
    """Keywords of at most `limit` posts that have none by today's dictionary, new ones first. Returns how many."""
    version = keywords_version()
    rows = store.posts_without_keywords(version, limit)
    found = keywords([join_post(row["title"], row["body"]) for row in rows])
    store.save_keywords(version, [(row["seq"], " ".join(words)) for row, words in zip(rows, found, strict=True)])
    return len(rows)


def score_posts(store: Store, classifier: Classifier, limit: int) -> int:
    """Predictions for at most `limit` posts that this model with today's tokenizer has not judged, new ones first.

    Returns how many.
    """
    made_by = scorer(classifier.metadata)
    rows = store.posts_to_score(made_by, limit)
    verdicts = classifier.predict([join_post(row["title"], row["body"]) for row in rows])
    predictions = [
        Prediction(row["board_id"], row["post_id"], verdict.label, verdict.confidence)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    store.save_predictions(classifier.version, predictions, made_by)
    return len(rows)
