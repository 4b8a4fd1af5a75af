"""A Google Cloud Storage emulator on the loopback, for tests of gs:// paths.

In a test module: `from tests.gcs import gcs_bucket  # noqa: F401`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
import time

import pytest

from xactor_jax.parallel.processes import free_port

BUCKET = "bucket"

_SERVE = """
import sys, threading
from gcp_storage_emulator.handlers import objects

plain_download = objects.download

def download(request, response, storage, *args, **kwargs):
    # The emulator leaves out a header of the real service, without which tensorstore fails now and then.
    plain_download(request, response, storage, *args, **kwargs)
    if int(response.status) in (200, 206):
        found = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
        response["x-goog-generation"] = found["generation"]

objects.download = download
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket=sys.argv[2])
server.start()
threading.Event().wait()
"""


def _wait_until_open(port: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError("the storage emulator did not start")


@functools.cache
def emulator_address() -> str:
    """Starts the emulator, once per process, and points every client at it, also those of programs started from here."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    os.environ.update(
        STORAGE_EMULATOR_HOST=address,  # gcsfs and with it etils.epath
        TENSORSTORE_GCS_HTTP_URL=address,  # Orbax
        GOOGLE_AUTH_TOKEN_FOR_TESTING="x",
        GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT="false",  # else gcsfs asks a service that the emulator lacks, and waits a minute
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, "-c", _SERVE, str(port), BUCKET], **quiet)
    atexit.register(server.kill)
    _wait_until_open(port)
    return address


@pytest.fixture(scope="session")
def gcs_bucket() -> str:
    """Address of an empty bucket, `gs://bucket`. Use a folder of your own in it."""
    emulator_address()
    return f"gs://{BUCKET}"
