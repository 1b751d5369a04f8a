"""A plan's body from the controller's real listener to the node's real media store, over mutual TLS."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

from controller.adapters.media_store import MediaStore
from controller.web.listeners import mutual_tls, open_listener
from controller.web.media import media_application
from edge.adapters.media import HttpsMediaStore, MediaSettings
from edge.effects import FetchMedia
from edge.errors import MediaFailure
from edge.events import BodyFetched, Event, MediaFailed
from protocol.plan_body import decode_body, encode_body
from simulator.demo.broker import free_port
from tests.controller.web.test_media import listener, trust
from tests.support.messages import MINUTE_MS, T0_MS, occurrence
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until


async def test_a_node_gets_the_body_that_stands_and_resumes_one_that_was_cut_off(
    pki: DevelopmentKeys, tmp_path: Path
) -> None:
    row = [occurrence(f"morning.20270115.{number}", T0_MS + number * MINUTE_MS) for number in range(300)]
    body, content = encode_body(row)
    other, _ = encode_body(row[:9])
    at = listener(pki, free_port())
    files = MediaStore(tmp_path / "controller")
    application = media_application(files, {hashlib.sha256(content).hexdigest(): content}.get)
    tls = mutual_tls(at, trust(pki))
    runner = await open_listener(application, host=at.host, port=at.port, key="http.nodes", tls=tls)
    node = pki.folder / "nodes" / "N001"
    context = ssl.create_default_context(cafile=str(pki.folder / "ca.pem"))
    context.load_cert_chain(node / "node.pem", node / "node.key")
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / f"{body.sha256}.part").write_bytes(content[:500])
    told: list[Event] = []
    url = f"https://localhost:{at.port}"
    settings = MediaSettings(url=url, folder=folder, bytes_max=10**7, free_bytes_min=0, context=context)
    store = HttpsMediaStore(settings, post=told.append)
    try:
        for reference in (body, other):
            await asyncio.to_thread(store.fetch, FetchMedia(reference=reference, keep=frozenset()))
        await until(lambda: len(told) == 2, what="two answers")
    finally:
        await asyncio.to_thread(store.close)
        await runner.cleanup()
    first, second = told
    assert isinstance(first, BodyFetched)
    assert decode_body(first.content) == tuple(row)
    assert first.received_bytes == len(content) - 500
    assert isinstance(second, MediaFailed)
    assert second.reason is MediaFailure.NOT_FOUND
    assert list(folder.iterdir()) == []
