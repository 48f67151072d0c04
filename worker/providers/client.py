"""The openai package's client, one for each provider, over one transport for all."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import httpx2
import openai
from openai._models import FinalRequestOptions

from shared import strict_json
from shared.providers import OPENAI_URL, Provider
from worker.providers import transport
from worker.providers.request import lines

#: What the package wants to have where there is no key; it is never sent.
_NO_KEY = "none"


class Client(openai.OpenAI):
    """The package's client for one provider: its requests differ in path, body, key and the ids that go with them.

    What is alike is made once; putting a request together anew cost more than sending it.
    """

    def __init__(self, provider: Provider, sender: transport.Client) -> None:
        # Named always: the package would look into the environment, which speaks of the default provider.
        base_url = provider.base_url or OPENAI_URL
        super().__init__(api_key=_NO_KEY, base_url=base_url, max_retries=0, http_client=sender)
        self._base = str(self.base_url).rstrip("/")
        alike = {
            "Accept": "application/json",
            # What is not asked for is not sent compressed: a small body cannot become a large one.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": self.user_agent,
            **provider.headers,
        }
        if not any(name.lower() == "host" for name in provider.headers):
            alike = {"Host": _url(self._base).netloc.decode("ascii"), **alike}
        self._alike = lines(alike)
        # Each request would get a new idempotency key, which is of use to the package's own retries alone.
        self._asking = FinalRequestOptions.construct(method="post", url="", idempotency_key="none")

    def ask(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> object:
        """Post JSON and return the JSON that is answered; the package's errors."""
        # What `post` does, without checking anew at each call what never varies: that cost a fifth of it.
        varying = {"url": path, "json_data": body, "headers": headers}
        return self.request(object, self._asking.model_copy(update=varying))

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx2.Request:
        content = b"" if options.json_data is None else strict_json.dumps(options.json_data).encode()
        head = {**self._alike, **lines(cast(dict[str, str], options.headers or {}))}
        if content or options.method.lower() == "post":
            head["Content-Length"] = b"Content-Length: %d" % len(content)
        # As lines that are written as they are, and a stream: httpx2 would read all headers, and add some of its own.
        return httpx2.Request(
            options.method,
            _url(self._base + options.url),
            stream=httpx2.ByteStream(content),
            extensions={transport.HEAD: head.values()},
        )

    # A request has the key that is ours to give when it is built; none of the package's ways to authenticate has a say.

    def _prepare_options(self, options: FinalRequestOptions) -> FinalRequestOptions:
        return options

    def _prepare_request(self, request: httpx2.Request) -> None:
        return

    def _custom_auth(self, security: object) -> None:
        return None

    def _send_request(self, request: httpx2.Request, *, stream: bool, **_: Any) -> httpx2.Response:
        return self._client.send(request, stream=stream)

    def _should_stream_response_body(self, request: httpx2.Request) -> bool:
        return False

    def _process_response(self, *, cast_to: Any, response: httpx2.Response, stream: bool, **rest: Any) -> Any:
        if stream or cast_to is not object:
            return super()._process_response(cast_to=cast_to, response=response, stream=stream, **rest)
        kind = response.headers.get("content-type", "*").partition(";")[0]
        return response.json() if kind.endswith("json") else response.text


class Clients:
    """The clients of this process; building one costs more than thirty calls."""

    def __init__(self, *, max_answer_bytes: int) -> None:
        self._transport = transport.Transport(max_bytes=max_answer_bytes)
        self._sender = transport.Client(self._transport)
        self._clients: dict[str, Client] = {}

    def of(self, provider: Provider) -> Client:
        """The client of a provider."""
        client = self._clients.get(provider.name)
        if client is None:
            # Made twice where two threads come first at once; the second one is kept, and both are good.
            client = self._clients[provider.name] = Client(provider, self._sender)
        return client

    def close(self) -> None:
        """Close the idle connections."""
        self._sender.close()


def headers(key: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """What a request carries beside what all have: its ids, and the key where there is one."""
    return {**ids, "Authorization": f"Bearer {key}"} if key else dict(ids)


@lru_cache(maxsize=256)
def _url(text: str) -> httpx2.URL:
    # Reading one costs as much as all the rest of a request.
    return httpx2.URL(text)
