"""Scoring as a task: keywords and the production model's moods for what was collected."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from pipeline.files import DataFileError
from pipeline.layout import NO_CHAMPION
from pipeline.model.folder import production_version
from pipeline.serve.classifier import Classifier
from pipeline.serve.score import extract_keywords, score_posts


@task(name="score-posts", cache_policy=NO_CACHE)
def score_new(store: Any, batch: int) -> str:
    """Keywords for new posts, and the production model's mood for posts that it has not judged."""
    words = extract_keywords(store, batch)
    scored, version = 0, production_version()
    if version != NO_CHAMPION and store.posts_to_score(version, 1):  # loading TensorFlow only when there is work
        try:
            classifier = Classifier.load(remember=True)
        except (DataFileError, OSError, ValueError) as error:
            # Seen in a soak: the learn flow was just putting another model there. Its end scores what waits.
            return f"keywords of {words} posts; their moods wait for a model that is whole ({error})"
        scored = score_posts(store, classifier, batch)
    return f"keywords of {words} posts, moods of {scored}"
