"""One target under atheris: `python -m tests.fuzz.one TARGET [libFuzzer's options and files]`.

With a file it tries the bytes of that file once, which is how a find is reproduced; with folders it goes on from what
is in them. Our own packages are instrumented as they are imported, so atheris sees which of their lines were reached.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

atheris: Any = importlib.import_module("atheris")  # publishes no types, and is installed for fuzzing only

with atheris.instrument_imports(include=["protocol", "edge", "controller", "simulator"], enable_loader_override=False):
    from tests.fuzz.table import TARGETS


def main() -> None:
    """Does not come back: libFuzzer ends the process."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"there is no target {name!r}; there are: {', '.join(TARGETS)}")
    target = TARGETS[name]

    def tried(data: bytes) -> None:
        target.run(data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
