"""A browser for the tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, find_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser; in .ci/run it has to be there, elsewhere the tests of it may be left out."""
    program = find_browser()
    if program is None:
        told = "no Chromium or Chrome on the PATH ($CRYSTALNET_BROWSER names one; .ci/browser)"
        if os.environ.get("CRYSTALNET_NEEDS_BROWSER"):
            pytest.fail(told)
        pytest.skip(told)
    opened = Browser(program)
    yield opened
    opened.close()
