"""The tests' API server, which stands in for a cluster here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from fakes.apiserver import FakeApiServer
from fakes.apiserver_wire import Hang, Refuse
from fakes.certificates import Authority
from fakes.endpointslices import endpoint_slice, pod

__all__ = ["Authority", "FakeApiServer", "Hang", "Refuse", "endpoint_slice", "pod"]
