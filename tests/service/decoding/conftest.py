import pytest


@pytest.fixture(scope="package")
def starter():
    from service.decoding.starter import Starter

    starter = Starter()
    yield starter
    starter.close()


@pytest.fixture
def worker(starter):
    """A heavy worker, which decodes everything."""
    from service.decoding.process import Worker

    worker = Worker(starter, light=False)
    yield worker
    worker.close()


@pytest.fixture
def light(starter):
    from service.decoding.process import Worker

    worker = Worker(starter, light=True)
    yield worker
    worker.close()
