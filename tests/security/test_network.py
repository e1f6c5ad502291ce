"""Nothing is asked of anyone but the configured addresses, and no one else's credentials."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import typing as t
from pathlib import Path

import pytest
import requests
from medchat_swell_sandbox import Fault, Quirks
from support import canaries
from support.canaries import MEDCHAT_TOKEN, PROXY_PASSWORD, SALT, SWELL_TOKEN, leaks
from support.servers import Connections, Proxy, Recorder
from support.tap_runs import STREAMS, Cli, assert_whole, discover, only, select, sync

from tap_medchat_swell.medchat.nested_pages import NestedPages

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from medchat_swell_sandbox import Sandbox
    from support.tap_process import Run

Config = dict[str, t.Any]
LOCALHOST = Path(__file__).with_name("localhost.pem")  # a key and its certificate, up to 2120
DEBUG = {"TAP_MEDCHAT_SWELL_LOGLEVEL": "DEBUG"}


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return Connections(monkeypatch)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder().serving() as running:
        yield running


@pytest.fixture
def recorded(recorder: Recorder) -> Config:
    """Settings that send both vendors' requests to the recorder."""
    return {
        "medchat_org_id": "org/with?odd#parts",
        "medchat_access_token": MEDCHAT_TOKEN,
        "medchat_api_url": f"{recorder.url}/medchat/",
        "swell_api_token": SWELL_TOKEN,
        "swell_api_url": f"{recorder.url}/swell",
        "start_date": "2026-01-01",
        "end_date": "2026-01-03",
        "max_retries": 0,
    }


def only_the_sandbox(connections: Connections, sandbox: Sandbox) -> bool:
    port = int(sandbox.origin.rpartition(":")[2])
    return connections.addresses == {("127.0.0.1", port)} and connections.hosts == {"127.0.0.1"}


LINKS = [
    Quirks(swell_links="other_host"),
    Quirks(swell_links="http"),
    Quirks(swell_links="full"),
    Quirks(medchat_envelope="value", medchat_next_link="other_origin"),
    Quirks(medchat_envelope="value", medchat_next_link="always"),
    Quirks(medchat_expanded_cap=1, medchat_expanded_cap_link=True),
]


@pytest.mark.parametrize("quirks", LINKS, ids=range(len(LINKS)))
def test_links_to_other_hosts_are_not_followed(
    sandbox: Sandbox, config: Config, connections: Connections, quirks: Quirks
) -> None:
    sandbox.quirks = quirks

    run = sync(config)

    assert run.code == 0, run.log
    assert_whole(run, sandbox)
    assert only_the_sandbox(connections, sandbox)


BASE = "https://medchat.example/api/external/orgs/org/smsChats"


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        ("https://medchat.example/api/external/orgs/org/smsChats(1)/Messages?$skip=2", True),
        ("https://evil.example/api/external/orgs/org/smsChats(1)/Messages", True),
        ("http://medchat.example/api/external/orgs/org/x", True),
        ("//evil.example/api/external/orgs/org/x", True),
        ("https://user:password@evil.example:444/api/external/orgs/org/x", True),
        ("smsChats(1)/Messages", True),
        ("https://medchat.example/api/external/orgs/other/smsChats", False),
        ("https://evil.example/", False),
        ("/login", False),
        ("../../../admin", False),
        ("/api/external/orgs/org/../other/smsChats", False),
        ("/api/external/orgs/org/%2e%2e/other/smsChats", False),
        ("file:///etc/passwd", False),
        ("javascript:alert(1)", False),
        ("http://[", False),
        ("", True),
    ],
)
def test_of_a_link_only_path_and_query_are_used(link: str, *, asked: bool) -> None:
    collections = NestedPages(t.cast("t.Any", None), BASE)

    url = collections._own(link, f"{BASE}?$top=1")

    assert (url is not None) is asked
    if url is not None:
        assert url.startswith("https://medchat.example/api/external/orgs/org/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(
    sandbox: Sandbox, config: Config, connections: Connections, recorder: Recorder, status: int
) -> None:
    location = (("Location", f"{recorder.url}/elsewhere"),)
    sandbox.faults.add(Fault("status", status=status, headers=location, times=None))

    run = sync({**config, "max_retries": 0})

    assert run.code == 1
    assert f"redirected the request, and redirects are never followed ({status} " in run.log
    assert recorder.seen == []
    assert only_the_sandbox(connections, sandbox)


def test_what_is_sent(recorder: Recorder, recorded: Config, cli: Cli) -> None:
    """The tokens where they belong, nothing of .netrc, no cookie, addresses as documented."""
    cli.file(".netrc", "machine 127.0.0.1 login netrcUser password netrcCanary\n")
    (cli.folder / ".netrc").chmod(0o600)

    run = cli(config=recorded, env={"NETRC": str(cli.folder / ".netrc")})

    assert run.code == 0, run.log
    netrc = base64.b64encode(b"netrcUser:netrcCanary").decode()
    assert "netrc" not in str(recorder.seen)
    assert netrc not in str(recorder.seen)
    assert "cookie" not in str(recorder.seen).lower()
    medchat = [(path, h) for path, h in recorder.seen if path.startswith("/medchat")]
    swell = [(path, h) for path, h in recorder.seen if path.startswith("/swell")]
    assert len(medchat) + len(swell) == len(recorder.seen)
    for path, headers in medchat:
        assert headers["authorization"] == f"Bearer {MEDCHAT_TOKEN}"
        assert path.startswith(
            "/medchat/external/orgs/org%2Fwith%3Fodd%23parts/smsChats?$filter=CreatedDateTime%20ge"
        )
        assert "+" not in path
    for path, headers in swell:
        assert "authorization" not in headers
        assert path.endswith("&token=swCanary%2F%2B%26%22%5Ctok%252")


def test_netrc_would_have_been_used_by_requests(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login netrcUser password netrcCanary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    requests.get(recorder.url, headers={"Authorization": "Bearer token"}, timeout=5)

    assert recorder.seen[0][1]["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "url", ["http://example.com/api", "http://10.1.2.3", "http://127.0.0.1.example.com", "ftp://x"]
)
def test_other_addresses_without_tls_are_refused(
    config: Config, connections: Connections, url: str
) -> None:
    for name in ("medchat_api_url", "swell_api_url"):
        run = sync({**config, name: url})

        assert run.code == 1
        assert f"{name} must start with https://" in run.errors[0]
    assert connections.addresses == connections.hosts == set()


def test_certificates_are_verified(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` is True, or the bundle that the environment names; never False."""
    seen: list[tuple[object, object]] = []

    def send(_: object, request: t.Any, **kwargs: t.Any) -> None:
        seen.append((request.url.partition(":")[0], kwargs["verify"]))
        raise requests.exceptions.SSLError from ssl.SSLCertVerificationError()

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    settings = {**config, "max_retries": 0, "swell_api_url": "https://swell.invalid"}
    settings["medchat_org_id"] = settings["medchat_access_token"] = ""

    run = sync(settings)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/a/bundle.pem")
    sync(settings)

    assert run.code == 1
    assert "did not present a valid certificate" in run.errors[0]
    assert set(seen) == {("https", True), ("https", "/a/bundle.pem")}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_check_names_the_version_of_tls(
    recorder: Recorder, recorded: Config, cli: Cli, version: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(LOCALHOST)
    recorder.socket = context.wrap_socket(recorder.socket, server_side=True)
    recorded["medchat_api_url"] = recorded["medchat_api_url"].replace("http:", "https:")

    run = cli("--check=json", config=recorded, env={"REQUESTS_CA_BUNDLE": str(LOCALHOST)})

    medchat, swell = json.loads(run.stdout)["vendors"]
    found = {finding["question"]: finding["reading"] for finding in medchat["findings"]}
    assert found["TLS"] == version.name.replace("v1_", " 1.")
    assert "TLS" not in {finding["question"] for finding in swell["findings"]}, "not reached"


def clean(run: Run) -> bool:
    return leaks(run) == [] and "Traceback" not in run.log


class TestProxies:
    @pytest.fixture
    def proxy(self) -> Iterator[Proxy]:
        with Proxy().serving() as running:
            yield t.cast("Proxy", running)

    @pytest.fixture
    def remote(self, config: Config) -> Config:
        """Swell over https, where nothing listens: only a proxy can be reached."""
        medchat: Config = {"medchat_org_id": "", "medchat_access_token": ""}
        tokens = {"swell_api_token": SWELL_TOKEN, "swell_api_url": "https://127.0.0.1:9/swell"}
        return {**config, **medchat, **tokens, "max_retries": 0}

    def address(self, port: int) -> str:
        return f"http://proxyUser:{PROXY_PASSWORD}@127.0.0.1:{port}"

    def test_a_proxy_of_the_environment_is_used(
        self, remote: Config, cli: Cli, proxy: Proxy
    ) -> None:
        run = cli(config=remote, env={**DEBUG, "HTTPS_PROXY": self.address(proxy.server_port)})

        assert run.code == 1
        assert "cannot be reached through the configured proxy" in run.log
        login = base64.b64encode(f"proxyUser:{PROXY_PASSWORD}".encode()).decode()
        assert proxy.seen
        for path, headers in proxy.seen:
            assert path == "127.0.0.1:9"
            assert headers["proxy-authorization"] == f"Basic {login}"
        assert clean(run)

    def test_plain_http_to_this_machine_goes_through_no_proxy(
        self, config: Config, cli: Cli, proxy: Proxy
    ) -> None:
        """A proxy would see the token in the address."""
        address = self.address(proxy.server_port)

        run = cli(config=config, env={"HTTP_PROXY": address, "ALL_PROXY": address})

        assert run.code == 0, run.log
        assert proxy.seen == []

    def test_no_proxy_is_respected(self, remote: Config, cli: Cli, proxy: Proxy) -> None:
        env = {"HTTPS_PROXY": self.address(proxy.server_port), "NO_PROXY": "127.0.0.1"}

        run = cli(config=remote, env=env)

        assert "Swell cannot be reached, or closed the connection" in run.log
        assert proxy.seen == []

    def test_a_proxy_that_cannot_be_reached(self, remote: Config, cli: Cli) -> None:
        run = cli(config=remote, env={**DEBUG, "https_proxy": self.address(9)})

        assert run.code == 1
        assert "cannot be reached through the configured proxy" in run.log
        assert clean(run)

    @pytest.mark.parametrize("proxy", ["http://[", "nonsense://x:pxCanary@y:z", "http://a:b:c"])
    def test_a_proxy_address_that_is_none(self, remote: Config, cli: Cli, proxy: str) -> None:
        run = cli(config=remote, env={**DEBUG, "HTTPS_PROXY": proxy})

        assert run.code == 1
        assert "please report" not in run.log
        assert clean(run)


def test_a_bundle_without_certificates_is_named(config: Config, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        env = {"REQUESTS_CA_BUNDLE": cli.file("empty.pem", "nothing")}

        run = cli(config={**config, "swell_api_url": url, "max_retries": 0}, env=env)

    assert run.code == 1
    assert "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE is not a file of certificates." in run.errors[-1]


def test_every_stream_asks_the_sandbox_only(
    sandbox: Sandbox, config: Config, connections: Connections
) -> None:
    run = sync({**config, "hash_salt": SALT}, catalog=select(discover(config), only(*STREAMS)))

    assert run.code == 0
    assert only_the_sandbox(connections, sandbox)
    assert canaries.found((SALT,), log=run.log) == []
