"""The demo's real LLM server for tests: started once a session, stopped with it.

Use the fixture by importing it: `from tests.support.llm_server import llm_url  # noqa: F401`.
"""

import atexit
import contextlib
import functools

import pytest

from demo.llm import running_llm


@functools.cache
def shared_llm() -> str:
    """The base URL (ending in /v1) of the one server of this test session."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(running_llm())


@pytest.fixture(scope="session")
def llm_url() -> str:
    """Base URL of the real embedded LLM. Every importing module gets the same server."""
    return shared_llm()
