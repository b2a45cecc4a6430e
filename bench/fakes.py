"""What the tests bring: an API server that stands in for a cluster, and HTTP over a unix socket."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from e2e.unix_http import Connection
from fakes.apiserver import FakeApiServer
from fakes.apiserver_wire import Hang, Refuse
from fakes.certificates import Authority
from fakes.endpointslices import endpoint_slice, pod

__all__ = ["Authority", "Connection", "FakeApiServer", "Hang", "Refuse", "endpoint_slice", "pod"]
