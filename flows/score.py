"""Scoring as a task: keywords and the production model's moods for what was collected."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from pipeline.files import DataFileError
from pipeline.layout import PRODUCTION
from pipeline.model.folder import read_metadata
from pipeline.serve.classifier import Classifier
from pipeline.serve.score import extract_keywords, score_posts, scorer


@task(name="score-posts", cache_policy=NO_CACHE)
def score_new(store: Any, batch: int) -> str:
    """Keywords and the production model's mood for at most `batch` posts that have none, or none of today's making."""
    words = extract_keywords(store, batch)
    done = f"keywords of {words} posts, moods of "
    try:
        made_by = scorer(read_metadata(PRODUCTION))
    except DataFileError:  # no model yet
        return f"{done}0"
    if not store.posts_to_score(made_by, 1):  # loading TensorFlow only when there is work
        return f"{done}0"
    try:
        classifier = Classifier.load(remember=True)
    except (DataFileError, OSError, ValueError) as error:
        # Seen in a soak: the learn flow was just putting another model there. Its end scores what waits.
        return f"keywords of {words} posts; their moods wait for a model that is whole ({error})"
    return f"{done}{score_posts(store, classifier, batch)}"
