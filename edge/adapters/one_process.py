"""One process to a state folder, from its start to its end, however it ends.

Two nodes on one card look to the controller like a copied card: it would silence the cluster until somebody enrols
it anew. A technician who starts the node by hand beside the service must not bring that about. The kernel lets go
of the lock when the process is gone, so that a power cut or a kill leaves nothing behind. A folder that cannot be
locked keeps no loudspeaker from playing: what is wrong with it, others say.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge.errors import StoreError

WAIT_S_MAX: Final = 5.0
"""An earlier process that is just ending is waited for."""
_ATTEMPT_S: Final = 0.1


@contextmanager
def only_process(state_dir: Path, *, wait_s: float = WAIT_S_MAX) -> Iterator[None]:
    """Have the folder alone while the block runs; raises StoreError when another process keeps it."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        _take(descriptor, state_dir, deadline_s=time.monotonic() + wait_s)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, state_dir: Path, *, deadline_s: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline_s:
                message = (
                    f"state_dir: hộp này đang chạy rồi · {state_dir} is in use: this node runs already, and two at "
                    "once would look like a copied card; stop the other first: systemctl stop loaxa-edge"
                )
                raise StoreError(message) from error
            time.sleep(_ATTEMPT_S)
        except OSError:  # a file system without locks
            return
        else:
            return
