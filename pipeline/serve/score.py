"""Score: keywords and the production model's mood for collected posts, so that the page shows today's mood."""

from pipeline.live.records import Prediction
from pipeline.live.store import Store
from pipeline.serve.classifier import Classifier
from pipeline.text import join_post, keywords


def extract_keywords(store: Store, limit: int) -> int:
    """Keywords of at most `limit` posts that have none yet, newest first. Returns how many posts were done."""
    rows = store.posts_without_keywords(limit)
    found = keywords([join_post(row["title"], row["body"]) for row in rows])
    store.save_keywords([(row["seq"], " ".join(words)) for row, words in zip(rows, found, strict=True)])
    return len(rows)


def score_posts(store: Store, classifier: Classifier, limit: int) -> int:
    """Predictions for at most `limit` posts that this version has not judged, newest first. Returns how many."""
    rows = store.posts_to_score(classifier.version, limit)
    verdicts = classifier.predict([join_post(row["title"], row["body"]) for row in rows])
    predictions = [
        Prediction(row["board_id"], row["post_id"], verdict.label, verdict.confidence)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    store.save_predictions(classifier.version, predictions)
    return len(rows)
