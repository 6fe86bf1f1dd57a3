"""The door of the local mesh: what it refuses, and in which words."""

import socket

import pytest

from deploy import keys, layout, local, state
from deploy.layout import LONGEST_SOCKET_PATH, Layout
from libs import errors
from libs.secrets import Vault


def test_replicas_are_read_as_written():
    name, other = layout.services()[:2]
    assert local.parse_replicas(f"{name}=2, {other}=3,") == {name: 2, other: 3}
    assert local.parse_replicas("") == {}
    assert local.parse_replicas("gateway=2") == {"gateway": 2}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cheese=2", 'no service "cheese"'),
        ("gateway", "written like"),
        ("gateway=two", "written like"),
        ("gateway=0", "from 1 to 16"),
        ("gateway=99", "from 1 to 16"),
    ],
)
def test_what_cannot_be_is_named(text, why):
    with pytest.raises(local.MeshProblem, match=why):
        local.parse_replicas(text)


def test_a_busy_port_is_named_with_the_way_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(local.MeshProblem, match=rf"port {port} .*EDGE_PORT="):
            local.up(tmp_path, edge_port=port)
    assert not list(tmp_path.iterdir()), "nothing was started, nothing is left"


def test_nothing_runs_in_an_empty_home(tmp_path):
    assert local.status(tmp_path) is None
    assert local.down(tmp_path) is False


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_state_file_is_no_mesh(tmp_path, text):
    home = Layout(tmp_path)
    home.state_file.write_text(text)
    assert state.read(home) is None
    assert not home.state_file.exists()


def test_sockets_of_a_deep_home_are_short_enough(tmp_path):
    deep = Layout(tmp_path / ("d" * 100))
    assert len(str(deep.socket("browser_session-16"))) <= LONGEST_SOCKET_PATH
    assert deep.sockets != Layout(tmp_path / ("e" * 100)).sockets


def test_secrets_are_for_the_owner_alone(tmp_path):

    home = Layout(tmp_path)
    home.create()
    made = keys.keys_of(home)
    assert home.secrets.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in home.secrets.iterdir())
    assert keys.keys_of(home) == made, "a second start finds the same keys"
    assert made.token("run") != made.token("task")
    sealed = Vault.from_text(made.vault_of("totp")).seal(b"seed", b"row")
    assert Vault.from_text(made.vault_of("totp")).open(sealed, b"row") == b"seed"
    with pytest.raises(errors.Internal):
        Vault.from_text(made.vault_of("webhook")).open(sealed, b"row")
