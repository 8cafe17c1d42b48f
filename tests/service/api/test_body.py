"""Reading a body: what arrives is counted, and a request that would take more than there is room for is told so."""

import asyncio

import pytest
from fastapi import Request

from service.admission import Admission
from service.api.body import read_body, take_response_bytes
from service.errors import BodyTooLarge, InvalidRequest, Overloaded
from service.settings import Settings


def request_of(pieces, claim=None, headers=()):
    """A request whose body comes in pieces; those that were asked for are taken off."""

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return Request(
        {"type": "http", "headers": list(headers), "state": {} if claim is None else {"claim": claim}}, receive
    )


def test_what_arrived_is_held_until_it_is_released():
    admission = Admission(1000, 5.0)
    claim = admission.claim("a")
    body = asyncio.run(read_body(request_of([b"x" * 100, b"", b"y" * 50], claim), Settings()))
    assert admission.bytes_held == 150
    assert (body.size, body.join()) == (150, b"x" * 100 + b"y" * 50)
    claim.release()
    assert admission.bytes_held == 0


def test_what_does_not_fit_is_not_read_any_further():
    admission = Admission(1000, 5.0)
    pieces = [b"x" * 100] * 50
    with pytest.raises(Overloaded):
        asyncio.run(read_body(request_of(pieces, admission.claim("a")), Settings()))
    assert len(pieces) > 40


def test_a_request_outside_of_a_server_has_no_claim():
    assert asyncio.run(read_body(request_of([b"x"]), Settings())).join() == b"x"


@pytest.mark.parametrize(("pieces", "headers"), [([b"x" * 10] * 20, ()), ([b"x"], [(b"content-length", b"9" * 5000)])])
def test_a_body_that_is_too_long(pieces, headers):
    with pytest.raises(BodyTooLarge):
        asyncio.run(read_body(request_of(pieces, headers=headers), Settings(max_body_bytes=100)))


def test_a_response_that_never_fits_is_a_bad_request_and_one_that_does_not_fit_now_is_overload():
    settings, admission = Settings(max_bytes_in_flight=1000), Admission(1000, 5.0)
    claim = admission.claim("a")
    claim.take(100)
    with pytest.raises(InvalidRequest, match="about 276 bytes; beside this request's body it may have 275"):
        take_response_bytes(request_of([], claim), 276, settings, 100)
    take_response_bytes(request_of([], claim), 275, settings, 100)
    with pytest.raises(Overloaded):
        take_response_bytes(request_of([], admission.claim("b")), 275, settings, 100)


@pytest.mark.parametrize("declared", [b"-5", b"1e9", b"\xb2", b""])
def test_a_length_that_is_not_a_number_says_nothing(declared):
    body = asyncio.run(read_body(request_of([b"x"], headers=[(b"content-length", declared)]), Settings()))
    assert body.size == 1
