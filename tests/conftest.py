"""Marks what needs a whole part of the house, so that `make check` can leave it out."""

from pathlib import Path

import pytest

# Fixtures that train a model, start the LLM, a browser or Prefect's server, or make a project with Git and DVC.
FIXTURES = {"tiny_model", "llm", "browser", "world", "place", "project"}
# Helpers that start such a part, a site to be crawled or the page: a file that imports one is left out whole.
HELPERS = (
    *(f"tests.support.{name}." for name in ("llm_stand_in", "llm_server", "project", "replay_server")),
    "tests.app.reverse_proxy.",
    "tests.app.world.Running",
)
# Files that load TensorFlow, matplotlib or Prefect, serve the page, call commands, or write thousands of posts.
FILES = {
    "test_all_posts.py",
    "test_commands.py",
    "test_crawl.py",
    "test_deep.py",
    "test_environment.py",
    "test_fused.py",
    "test_network.py",
    "test_pictures.py",
    "test_quality.py",
    "test_score.py",
    "test_server.py",
    "test_token_cache.py",
    "test_train.py",
    "test_ui.py",
    "test_user_feedback.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests `whole` that use one of these fixtures, or stand in a file that uses one of these helpers."""
    for item in items:
        imported = vars(getattr(item, "module", None) or object).values()
        names = {f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}" for value in imported}
        if (
            FIXTURES & set(getattr(item, "fixturenames", ()))
            or any(name.startswith(HELPERS) for name in names)
            or Path(item.path).name in FILES
        ):
            item.add_marker(pytest.mark.whole)
