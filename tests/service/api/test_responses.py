import asyncio

import orjson

from service.api.responses import PIECE_BYTES, json_pieces, pieces_response


def sent(response):
    messages = []

    async def send(message):
        messages.append(message)

    asyncio.run(response({"type": "http"}, None, send))
    return messages


def test_json_in_pieces_is_json():
    for items in ([], [1], [{"a": 1}, {"b": 2}]):
        assert orjson.loads(b"".join(json_pieces({"object": "list"}, "data", items))) == {
            "object": "list",
            "data": items,
        }


def test_items_are_made_one_after_the_other():
    made = []

    def items():
        for i in range(3):
            made.append(i)
            yield i

    pieces = json_pieces({"object": "list"}, "data", items())
    assert made == []
    assert next(pieces) == b'{"object":"list","data":['
    next(pieces)
    assert made == [0]


def test_a_large_response_goes_out_piece_by_piece_and_is_dropped_on_the_way():
    pieces = [b"a" * PIECE_BYTES, b"b", b"c" * (2 * PIECE_BYTES + 1)]
    whole = b"".join(pieces)
    start, *bodies = sent(pieces_response(pieces, {"x": "y"}, "application/json"))
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(whole)).encode()
    assert (headers[b"x"], headers[b"content-type"]) == (b"y", b"application/json")
    assert b"".join(message["body"] for message in bodies) == whole
    assert max(len(message["body"]) for message in bodies) == PIECE_BYTES
    assert [message["more_body"] for message in bodies] == [True] * (len(bodies) - 1) + [False]
    assert pieces == []


def test_a_small_one_is_sent_as_a_whole():
    start, body = sent(pieces_response([b"a", b"b"], {}, "application/json"))
    assert body["body"] == b"ab"
    assert dict(start["headers"])[b"content-length"] == b"2"
