"""An S3 server on loopback, and the environment in which LanceDB and fsspec find it."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_numbers = itertools.count()


@contextmanager
def s3_server() -> Iterator[str]:
    """Yields the server's address; its buckets are gone afterwards."""
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT": endpoint,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            yield endpoint
        finally:
            server.stop()


def client():
    """Of the server that the environment names."""
    import boto3

    return boto3.client("s3")


def new_bucket() -> str:
    """Its name; never the same, because LanceDB remembers what it was connected to."""
    name = f"bucket-{next(_numbers)}"
    client().create_bucket(Bucket=name)
    return name
