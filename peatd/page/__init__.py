"""The demo's page, as it is served: `built/` holds what `nox -s demo` makes of the sources beside this file.

Scripts, styles and pictures have a hash of their content in their names, so they may be kept for ever; `index.html`
names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUILT = Path(__file__).parent / "built"

_NONCE = "{{nonce}}"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """Attributes:
    files: all but `index.html`, by name.
    """

    files: Mapping[str, PageFile]
    _html: str

    def html(self, nonce: str) -> bytes:
        """The page itself; the editor's own style sheets will show this nonce (CSP, `style-src`)."""
        return self._html.replace(_NONCE, nonce).encode()


def read_page() -> Page:
    """Reads all of it: 0.5 MB, and only where it is to be served."""
    files = {
        path.name: PageFile(path.read_bytes(), _MEDIA_TYPES[path.suffix])
        for path in BUILT.iterdir()
        if path.suffix in _MEDIA_TYPES
    }
    return Page(files, (BUILT / "index.html").read_text(encoding="utf-8"))
