"""What every test may count on: hypothesis profiles, the public vectors and the soak budget."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.faults import preload
from tests.oracles import oracles_folder

# deadline is off everywhere: a busy machine is no finding.
settings.register_profile("default", deadline=None, max_examples=100)
# Continuous integration takes the same examples each time, so that a red run is about the change in hand.
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=10_000, print_blob=True)
settings.load_profile(os.environ.get("HOLO_HYPOTHESIS_PROFILE", "default"))


_MEMORY = Path("/dev/shm")


def pytest_configure(config: pytest.Config) -> None:
    """Put temporary folders in memory where there is such a place: hundreds of stores sync thousands of times.

    A sync is still asked for and still waited for; only the disk is faster. HOLO_TEST_DISK=1 keeps the disk.
    """
    # A shell starts what it runs in the background with interrupts ignored, and every child would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # As a node writes them: the drawn tracebacks that come with `rich` take seconds each on a busy machine.
    *others, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, renderer])
    if config.option.basetemp is None and os.access(_MEMORY, os.W_OK) and not os.environ.get("HOLO_TEST_DISK"):
        config.option.basetemp = str(_MEMORY / f"holo-tests-{os.getpid()}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back."""
    if str(config.option.basetemp).startswith(f"{_MEMORY}/holo-tests-"):
        shutil.rmtree(config.option.basetemp, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose public vectors are absent, by name."""
    for item in items:
        for marker in item.iter_markers("oracle"):
            folder = oracles_folder().joinpath(*marker.args)
            if not folder.is_dir():
                item.add_marker(pytest.mark.skip(reason=f"no public vectors at {folder}; set HOLO_ORACLES"))


@pytest.fixture(scope="session")
def oracles() -> Path:
    """Return the folder of public vectors; the test also carries the `oracle` marker."""
    return oracles_folder()


@pytest.fixture(scope="session")
def preload_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that makes a child's system calls fail or writes them down; skips where it cannot be built."""
    return preload.build(tmp_path_factory.mktemp("preload"))


@pytest.fixture
def soak_seconds(request: pytest.FixtureRequest) -> float:
    """Return this soak test's share, in seconds, of HOLO_SOAK_SECONDS."""
    sharing = [item for item in request.session.items if item.get_closest_marker("soak")]
    return float(os.environ["HOLO_SOAK_SECONDS"]) / max(1, len(sharing))
