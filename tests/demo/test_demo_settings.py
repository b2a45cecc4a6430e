"""`--demo`: which flags have a part in it, and what its nodes are given."""

from pathlib import Path

import pytest

from peatd.config import load_demo
from peatd.demo.places import NAMES, command, lay_out
from peatd.errors import ConfigError


def test_without_the_flag_there_is_no_demo() -> None:
    assert load_demo([], {}) is None
    assert load_demo(["--peer", "h:1"], {"PEAT_DATA_DIR": "/x"}) is None


def test_by_default_it_leaves_nothing_behind_and_opens_the_page() -> None:
    demo = load_demo(["--demo"], {})
    assert demo is not None
    assert (demo.directory, demo.opens_browser, demo.flags) == (None, True, [])


def test_a_directory_can_be_named_and_flags_passed_on(tmp_path: Path) -> None:
    words = ["--demo", "--no-browser", "--data-dir", str(tmp_path), "--log-level", "debug", "--engine", "y-py"]
    demo = load_demo(words, {})
    assert demo is not None
    assert (demo.directory, demo.opens_browser) == (tmp_path, False)
    assert demo.flags == ["--engine", "y-py", "--log-level", "debug"]


def test_what_is_set_for_a_node_of_this_machine_is_not_for_these() -> None:
    environ = {
        "PATH": "/bin", "HOME": "/home/a", "PEAT_KEY_FILE": "/k", "PEAT_CONFIG": "/c", "KUBERNETES_SERVICE_HOST": "h",
        "KUBECONFIG": "/kc", "HOSTNAME": "h", "PEAT_DATA_DIR": "/data",
    }  # fmt: skip
    demo = load_demo(["--demo"], environ)
    assert demo is not None
    assert demo.variables == {"PATH": "/bin", "HOME": "/home/a"}
    assert demo.directory is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--demo", "--peer", "h:1"], "--peer has no part in --demo"),
        (["--demo", "--bind", "127.0.0.1:1"], "--bind has no part in --demo"),
        (["--demo", "--config", "/x"], "--config has no part in --demo"),
        (["--demo", "--print-config"], "--print-config has no part in --demo"),
        (["--demo", "--engine", "automerge"], "--engine: 'automerge' is not known here"),
        (["--demo", "--data-dir", "~/x"], "--data-dir: '~/x' begins with '~'"),
        (["--no-browser"], "--no-browser belongs to --demo"),
    ],
)
def test_what_has_no_part_in_it_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_demo(words, {})
    assert message in str(refused.value)


def test_every_node_has_a_place_of_its_own_and_knows_all_others(tmp_path: Path) -> None:
    places = lay_out(tmp_path)
    assert tuple(place.name for place in places) == NAMES
    assert len({address for place in places for address in (place.mesh, place.api, place.clients)}) == 9
    for place in places:
        words = command(place, places, tmp_path / "secret", ["--log-level", "debug"])
        peers = {words[index + 1] for index, word in enumerate(words) if word == "--peer"}
        assert peers == {f"{other.name}@{other.mesh}" for other in places if other is not place}
        page = words[words.index("--demo-page") + 1]
        assert page == ",".join(f"{other.name}@{other.clients}" for other in places)
        assert words[-2:] == ["--log-level", "debug"]
