"""An S3 store: moto in this process."""

import pytest

from models.errors import DataError, StoreError
from models.images import remote
from models.images.sources.table import open_source
from tests.sources import copy_to_store, noise_images, write_layouts

LAYOUTS = ["folder", "tar", "zip", "parquet", "jsonl", "base64", "list"]
SAMPLES = noise_images(4)


@pytest.fixture(scope="module")
def bucket():
    """The URL of an empty bucket; credentials and address are in the environment, as users have them."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed (pip install s3fs)")
    server_module = pytest.importorskip("moto.server", reason="moto is not installed (pip install moto[server])")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    patch = pytest.MonkeyPatch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    patch.setenv("AWS_CONFIG_FILE", "/dev/null")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("images")
    yield "s3://images"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
    patch.undo()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_from_s3(layout, bucket, tmp_path):
    uri = copy_to_store(write_layouts(tmp_path, SAMPLES)[layout], f"{bucket}/{layout}")
    source = open_source(uri)
    assert [source.read(i) for i in range(4)] == [sample.data for sample in SAMPLES]
    assert [source.classes[i] for i in source.labels] == ["a", "a", "b", "b"]
    assert source.digest() == open_source(uri).digest()
    assert open_source(uri.partition(":")[2]).fingerprint == source.fingerprint


def test_what_is_not_there_is_an_error(bucket, monkeypatch):
    monkeypatch.setattr(remote, "PAUSE_S", 0.001)
    for uri in ("s3://images/nothing", "tar:s3://images/nothing.tar", "s3://nobody/x.zip", "s3://images/x-*.tar"):
        with pytest.raises(DataError, match=r"there is no|cannot be read: "):
            open_source(uri)


def test_a_store_that_stops_is_an_error_of_the_image(bucket, tmp_path, monkeypatch):
    source = open_source(copy_to_store(write_layouts(tmp_path, SAMPLES)["tar"], f"{bucket}/stopped"))
    monkeypatch.setattr(remote, "TIMEOUT_S", 1e-6)
    monkeypatch.setattr(remote, "MIN_BYTES_PER_S", 10**12)
    monkeypatch.setattr(remote, "PAUSE_S", 0.001)
    with pytest.raises(StoreError, match=r"s3://images/stopped/tar/000000\.tar cannot be read: no answer within"):
        source.open(0)
