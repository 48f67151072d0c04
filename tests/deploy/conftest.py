"""A demo model in a thread, and the client that everything here speaks through."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import pytest
from openai import OpenAI

from deploy.demo_model.embedded import Model, start_in_thread


@pytest.fixture(scope="session")
def one_demo_model() -> Iterator[Model]:
    with start_in_thread() as model:
        yield model


@pytest.fixture
def demo_model(one_demo_model: Model) -> Model:
    one_demo_model.reset()
    return one_demo_model


@pytest.fixture
def client(demo_model: Model) -> Iterator[OpenAI]:
    with OpenAI(base_url=demo_model.base_url, api_key="sk-test", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def connect(demo_model: Model) -> Callable[..., socket.socket]:
    """Open a raw connection to the model, or to another one."""

    def connect(model: Model = demo_model) -> socket.socket:
        address = urlsplit(model.base_url)
        return socket.create_connection((address.hostname, address.port), timeout=10)

    return connect


@pytest.fixture
def hang(connect: Callable[[Model], socket.socket]) -> Callable[..., AbstractContextManager[socket.socket]]:
    """Have a call in flight while the block runs, and leave without an answer at its end."""

    @contextmanager
    def hang(model: Model, name: str = "demo:mode=silent") -> Iterator[socket.socket]:
        body = json.dumps({"model": name, "messages": [{"role": "user", "content": "hi"}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with connect(model) as raw:
            raw.sendall(head.encode() + body)
            model.wait_for(lambda totals: totals["in_flight"] == 1)
            yield raw

    return hang
