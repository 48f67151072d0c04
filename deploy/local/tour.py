"""What the demo does with a running Strata: publishes the examples, executes each over every wire, shows it all."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from deploy.local import page as pages
from deploy.local import wires
from deploy.local.errors import LocalError
from deploy.local.page import Page
from deploy.local.stack import CHECKOUT
from deploy.local.wires import Run
from shared import strict_yaml

EXAMPLES = CHECKOUT / "deploy" / "examples"
INPUTS = Path(__file__).with_name("demo_inputs.yaml")
#: What is handed in for the example that answers from documents, and where.
DOCUMENTS = tuple(sorted((CHECKOUT / "docs").glob("*.md")))
FOLDER = "strata-handbook"
READY_SECONDS = 60.0
WIRES = {"native": wires.native, "discuro": wires.discuro, "promptjuggler": wires.promptjuggler}


def handles() -> frozenset[str]:
    """The handles of the examples."""
    return frozenset(_given(""))


class Tour:
    """The tour; `count` and `passed` are its executions so far, and `failed` names those that did not pass."""

    def __init__(self, environment: Mapping[str, str], page: Page, check: Callable[[], None]) -> None:
        self.count = 0
        self.calls = 0
        self.failed: list[str] = []
        self._environment = environment
        self._page = page
        # Raises when there is no use in going on: a process died, somebody pressed Ctrl-C.
        self._check = check

    def go(self) -> None:
        """Do it all. LocalError where the stack does not become ready, or an example is refused."""
        self._until_ready("web", "HOST", "PORT")
        self._until_ready("worker", "STRATA_WORKER_HOST", "STRATA_WORKER_PORT")
        key = self._environment["STRATA_BOOTSTRAP_KEY"]
        with self._client("HOST", "PORT", {"Authorization": f"Bearer {key}"}) as client:
            given = _given(str(client.base_url).rstrip("/"))
            self._hand_in(client)
            for pipeline in self._published(client):
                self._page.pipeline(pipeline)
                self._show(client, pipeline, given[pipeline["handle"]])

    def _hand_in(self, client: httpx2.Client) -> None:
        """Hand the handbook in, and wait until it is read."""
        self._page.progress(f"handing {len(DOCUMENTS)} documents in (POST /v2/knowledge/documents)")
        wires.ask(client, "PUT", f"/v2/knowledge/folders/{FOLDER}", json={"name": "Handbook"})
        files = [("files", (each.name, each.read_bytes(), "text/markdown")) for each in DOCUMENTS]
        wires.ask(client, "POST", "/v2/knowledge/documents", data={"folder": FOLDER}, files=files)
        deadline = time.monotonic() + READY_SECONDS
        while (found := wires.ask(client, "GET", f"/v2/knowledge/folders/{FOLDER}"))["status"] == "pending":
            self._check()
            if time.monotonic() > deadline:
                raise LocalError(f"{found['pending']} documents were not read within {READY_SECONDS:.0f} s")
            time.sleep(0.05)

    def _published(self, client: httpx2.Client) -> list[dict[str, Any]]:
        files = sorted(EXAMPLES.glob("*.yaml"))
        self._page.progress(f"publishing {len(files)} examples (PUT /v2/pipelines/…)")
        return [self._publish(client, file) for file in files]

    def _publish(self, client: httpx2.Client, file: Path) -> dict[str, Any]:
        handle = strict_yaml.loads(file.read_text(encoding="utf-8"))["handle"]
        headers = {"Content-Type": "application/yaml"}
        found: dict[str, Any] = wires.ask(
            client, "PUT", f"/v2/pipelines/{handle}", content=file.read_bytes(), headers=headers
        )
        return found

    def _show(self, client: httpx2.Client, pipeline: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        shown = None
        for wire, execute in WIRES.items():
            self._check()
            self.count += 1
            try:
                run = execute(client, pipeline, inputs)
            except (LocalError, httpx2.HTTPError) as error:
                self._check()
                self._failed(wire, pipeline, str(error))
                continue
            self.calls += sum(layer["calls"] for each in run.report["properties"] for layer in each["layers"])
            if fault := _fault(run):
                self._failed(wire, pipeline, fault, run)
                continue
            # The demo model says the same to the same question, so every further wire shows that it is one.
            same = ["the same answer, in this wire's envelope"]
            self._page.passed(wire, run, same if run.answer == shown else pages.pretty(run.answer))
            shown = run.answer

    def _failed(self, wire: str, pipeline: Mapping[str, Any], error: str, run: Run | None = None) -> None:
        self.failed.append(f"{pipeline['handle']} ({wire})")
        self._page.failed(wire, error, run)

    def _until_ready(self, name: str, host: str, port: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        with self._client(host, port) as client:
            while not _is_ready(client):
                self._check()
                if time.monotonic() > deadline:
                    raise LocalError(f"{name} was not ready within {READY_SECONDS:.0f} s")
                time.sleep(0.05)

    def _client(self, host: str, port: str, headers: Mapping[str, str] | None = None) -> httpx2.Client:
        url = f"http://{self._environment[host]}:{self._environment[port]}"
        return httpx2.Client(base_url=url, headers=headers, timeout=wires.WAIT_SECONDS + 10, trust_env=False)


def _given(url: str) -> dict[str, dict[str, Any]]:
    """Inputs by handle; `$STRATA_URL` in them stands for where the API is."""
    given: dict[str, dict[str, Any]] = strict_yaml.loads(INPUTS.read_text(encoding="utf-8").replace("$STRATA_URL", url))
    return given


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.HTTPError:
        return False


def _fault(run: Run) -> str | None:
    if not run.passed:
        error = run.report["error"] or {}
        return f"{error.get('reason')}: {error.get('message')}"
    if run.answer != run.report["output"]:
        return f"the answer is not the report's output, which is {run.report['output']}"
    return None
