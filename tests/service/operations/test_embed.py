import asyncio

import pytest

from models.bundle.reader import read_bundle
from models.images.decode import DecodeLimits
from models.runtimes.fake import FakeRuntime
from service.admission import Admission
from service.decoding.base import ThreadReader
from service.errors import UnsupportedMediaType, UnsupportedOption
from service.operations.base import Context, EmbedOptions
from service.operations.decoders import Decoders
from service.operations.embed import Embed
from service.scheduler import Scheduler

CLAIM = Admission(10**9, 10.0).claim("client")


@pytest.fixture
def embed(golden):
    bundle, scheduler, decoders = read_bundle(golden), Scheduler(), Decoders([ThreadReader()], [ThreadReader()])
    yield Embed(Context(bundle, FakeRuntime(bundle), scheduler, decoders, DecodeLimits(), 12))
    decoders.close()
    scheduler.close()


def test_the_images_of_a_request_come_back_in_their_order(embed, png):
    async def main():
        return await embed.all([(png, "file[0]"), (png, "file[1]")], EmbedOptions(), CLAIM), await embed(
            png, EmbedOptions(), CLAIM
        )

    (first, second), alone = asyncio.run(main())
    assert (first.values == alone.values).all()
    assert (second.values == alone.values).all()
    assert alone.image_pixels == 16 * 16
    assert min(alone.timings) >= 0


def test_the_first_image_that_fails_stops_the_rest(embed, png, monkeypatch):
    futures = []
    honest = embed._submit
    monkeypatch.setattr(embed, "_submit", lambda *args: futures.append(honest(*args)) or futures[-1])

    async def main():
        with pytest.raises(UnsupportedMediaType) as caught:
            await embed.all(
                [(b"no image", "file[0]"), *[(png, f"file[{i}]") for i in range(1, 30)]], EmbedOptions(), CLAIM
            )
        assert caught.value.param == "file[0]"
        assert all(future.done() for future in futures)

    asyncio.run(main())
    assert len(futures) == 30


def test_a_pooling_that_the_model_does_not_have_decodes_nothing(embed, png, monkeypatch):
    decoded = []
    monkeypatch.setattr(embed, "_submit", lambda *args: decoded.append(args))
    with pytest.raises(UnsupportedOption, match="pooling 'none'"):
        asyncio.run(embed(png, EmbedOptions(pooling="none"), CLAIM))
    assert decoded == []


def test_batches_have_sizes_of_the_ladder(embed):
    assert embed.work.sizes == (1, 2, 3, 4, 6, 8, 12)
