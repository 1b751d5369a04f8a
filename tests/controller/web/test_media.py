"""Media over real mutual TLS: by hash, in ranges, for holders of a certificate only."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from controller.adapters.media_store import MediaStore
from controller.configuration.config import NodesListenerConfig, TrustConfig
from controller.errors import ConfigError
from controller.web.listeners import mutual_tls, open_listener
from controller.web.media import media_application
from simulator.demo.broker import free_port
from tests.support.pki import DevelopmentKeys, make_pki

SOUND = bytes(range(256)) * 40
HASH = hashlib.sha256(SOUND).hexdigest()
BODY = b"body"
BODY_HASH = "b" * 64


def listener(pki: DevelopmentKeys, port: int) -> NodesListenerConfig:
    at = pki.folder
    return NodesListenerConfig(
        host="127.0.0.1", port=port, certificate=str(at / "server.pem"), private_key=str(at / "server.key")
    )


def trust(pki: DevelopmentKeys) -> TrustConfig:
    return TrustConfig(
        ca=str(pki.folder / "ca.pem"), certificate="", private_key="", keyset="", root_keys="", signing_keys=()
    )


def context(pki: DevelopmentKeys, certificate: Path | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(pki.folder / "ca.pem"))
    if certificate is not None:
        made.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))
    return made


@pytest_asyncio.fixture
async def address(pki: DevelopmentKeys, tmp_path: Path) -> AsyncIterator[str]:
    store = MediaStore(tmp_path)
    store.folder.mkdir(parents=True)
    (store.folder / HASH).write_bytes(SOUND)
    (tmp_path / "secret").write_text("not for nodes")
    (store.folder / ("d" * 64)).symlink_to(tmp_path / "secret")
    at = listener(pki, free_port())
    tls = mutual_tls(at, trust(pki))
    runner = await open_listener(
        media_application(store, {BODY_HASH: BODY}.get), host=at.host, port=at.port, key="http.nodes", tls=tls
    )
    yield f"https://localhost:{at.port}"
    await runner.cleanup()


@pytest_asyncio.fixture
async def node(pki: DevelopmentKeys) -> AsyncIterator[aiohttp.ClientSession]:
    tls = context(pki, pki.folder / "nodes" / "N001" / "node")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        yield session


async def test_a_node_gets_the_whole_and_the_rest(address: str, node: aiohttp.ClientSession) -> None:
    url = f"{address}/media/sha256/{HASH}"
    async with node.get(url) as whole:
        assert (whole.status, await whole.read()) == (200, SOUND)
        assert "immutable" in whole.headers["Cache-Control"]
    async with node.get(url, headers={"Range": "bytes=10000-"}) as rest:
        assert (rest.status, await rest.read()) == (206, SOUND[10_000:])
    async with node.get(url, headers={"Range": f"bytes={len(SOUND)}-"}) as beyond:
        assert beyond.status == 416


async def test_a_node_gets_the_body_of_a_standing_plan(address: str, node: aiohttp.ClientSession) -> None:
    async with node.get(f"{address}/media/sha256/{BODY_HASH}") as answer:
        assert (answer.status, await answer.read()) == (200, BODY)
        assert answer.headers["Content-Type"] == "application/cbor"
    for span, status, rest in (("1-", 206, BODY[1:]), ("1-2", 206, BODY[1:3]), ("4-", 416, b""), ("x", 416, b"")):
        async with node.get(f"{address}/media/sha256/{BODY_HASH}", headers={"Range": f"bytes={span}"}) as answer:
            assert (answer.status, await answer.read()) == (status, rest)


@pytest.mark.parametrize("path", ["e" * 64, "d" * 64, HASH.upper(), "..%2f..%2fsecret", "x", HASH[:-1]])
async def test_nothing_else_is_given(address: str, node: aiohttp.ClientSession, path: str) -> None:
    async with node.get(f"{address}/media/sha256/{path}") as answer:
        assert answer.status == 404


async def test_neither_page_nor_api_is_here(address: str, node: aiohttp.ClientSession) -> None:
    for path in ("/", "/api/v1/nodes", "/now"):
        async with node.get(address + path) as answer:
            assert answer.status == 404


async def test_who_has_no_certificate_of_ours_gets_nothing(address: str, pki: DevelopmentKeys, tmp_path: Path) -> None:
    stranger = make_pki(tmp_path / "stranger", nodes=("N001",))
    for certificate in (None, stranger.folder / "nodes" / "N001" / "node"):
        connector = aiohttp.TCPConnector(ssl=context(pki, certificate))
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{address}/media/sha256/{HASH}")


async def test_wrong_files_and_a_taken_port_are_named(pki: DevelopmentKeys, address: str) -> None:
    broken = NodesListenerConfig(certificate="/none.pem", private_key="/none.key")
    with pytest.raises(ConfigError, match="cannot be used"):
        mutual_tls(broken, trust(pki))
    port = int(address.rsplit(":", 1)[1])
    application = media_application(MediaStore(Path("/nowhere")))
    with pytest.raises(ConfigError, match=f"http.nodes: cannot listen on 127.0.0.1:{port}"):
        await open_listener(application, host="127.0.0.1", port=port, key="http.nodes")
