"""A server that must answer as before after a bad request."""

import pytest

from tests.service.api.bad_input import EMBED


@pytest.fixture
def alive(client, png):
    """After the test the server answers as before."""
    before = client.post(EMBED, files={"file": png}).json()
    yield
    assert client.post(EMBED, files={"file": png}).json() == before
