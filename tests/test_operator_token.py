"""The file with which a server gives its operator power: where it is, and what is not taken."""

import os
import socket
import stat
from pathlib import Path

import pytest

from dscore import operator_token
from dscore.operator_token import find, leave, make_token

HOST, PORT = "127.0.0.1", 8765
NAME = "operator-127.0.0.1-8765.token"
USER = os.geteuid()
MINE, OTHER = "m" * 43, "o" * 43


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMP", "RUN"):
        place = tmp_path / name.lower()
        place.mkdir()
        monkeypatch.setattr(operator_token, name, place)


@pytest.fixture
def xdg(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "xdg"
    path.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(path)}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_first_place_that_there_is_is_taken(tmp_path: Path, xdg: dict[str, str]) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o755)
    environ = {"RUNTIME_DIRECTORY": f"{runtime}:/elsewhere", **xdg}
    assert leave(HOST, PORT, MINE, environ).path == runtime / NAME
    assert mode(runtime) == 0o755
    assert leave(HOST, PORT, MINE, xdg).path == tmp_path / "xdg" / "dscore" / NAME
    last = leave(HOST, PORT, MINE, {})
    assert last.path == tmp_path / "tmp" / f"dscore-{USER}" / NAME
    assert mode(last.path.parent) == 0o700


def test_the_file_is_the_owners_alone_whatever_the_mask(xdg: dict[str, str]) -> None:
    before = os.umask(0)
    try:
        left = leave(HOST, PORT, MINE, xdg)
    finally:
        os.umask(before)
    assert mode(left.path) == 0o600
    assert mode(left.path.parent) == 0o700
    assert [each.name for each in left.path.parent.iterdir()] == [NAME]


def test_what_lies_there_is_used_again(xdg: dict[str, str]) -> None:
    first = leave(HOST, PORT, MINE, xdg)
    assert leave(HOST, PORT, OTHER, xdg) == first
    assert leave(HOST, PORT + 1, OTHER, xdg).token == OTHER


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o640),
        lambda path: path.write_text("short"),
        lambda path: path.write_text("x" * 5000),
        lambda path: path.write_bytes(b"\xff" * 43),
        lambda path: os.link(path, path.with_name("second")),
    ],
)
def test_a_file_that_others_may_know_is_replaced(spoil, xdg: dict[str, str]) -> None:
    path = leave(HOST, PORT, MINE, xdg).path
    spoil(path)
    assert find(HOST, PORT, xdg) is None
    assert leave(HOST, PORT, OTHER, xdg).token == OTHER
    assert find(HOST, PORT, xdg) == (path, OTHER)
    assert mode(path) == 0o600


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path, xdg) -> None:
    secret = tmp_path / "secret"
    secret.write_text(OTHER)
    secret.chmod(0o600)
    directory = tmp_path / "xdg" / "dscore"
    directory.mkdir(mode=0o700)
    (directory / NAME).symlink_to(secret)
    assert find(HOST, PORT, xdg) is None
    assert leave(HOST, PORT, MINE, xdg).token == MINE
    assert secret.read_text() == OTHER
    assert not (directory / NAME).is_symlink()


def test_what_an_earlier_server_left_is_withdrawn_at_its_own_address(
    tmp_path: Path, xdg: dict[str, str]
) -> None:
    usual = tmp_path / "run" / "user" / str(USER)
    usual.mkdir(parents=True)
    for environ in ({"XDG_RUNTIME_DIR": str(usual)}, xdg, {}):
        leave(HOST, PORT, MINE, environ)
    other = leave(HOST, PORT + 1, OTHER, xdg)
    operator_token.withdraw(HOST, PORT, xdg)
    assert find(HOST, PORT, xdg) is None
    assert find(HOST, PORT + 1, xdg) == other
    operator_token.withdraw(HOST, PORT, xdg)


def test_the_places_that_are_looked_in_can_be_told(tmp_path: Path, xdg: dict[str, str]) -> None:
    last = tmp_path / "tmp" / f"dscore-{USER}"
    usual = [tmp_path / "run" / "user" / str(USER) / "dscore", tmp_path / "run" / "dscore"]
    assert operator_token.places(HOST, xdg) == [tmp_path / "xdg" / "dscore", last, *usual]
    assert operator_token.places("10.0.0.1", xdg) == []


def test_a_fifo_does_not_hold_anything_up(tmp_path: Path, xdg: dict[str, str]) -> None:
    directory = tmp_path / "xdg" / "dscore"
    directory.mkdir(mode=0o700)
    os.mkfifo(directory / NAME, 0o600)
    assert find(HOST, PORT, xdg) is None
    assert leave(HOST, PORT, MINE, xdg).token == MINE


def test_a_directory_that_is_a_link_or_not_ours_is_passed_over(tmp_path: Path, xdg) -> None:
    aim = tmp_path / "aim"
    aim.mkdir(mode=0o700)
    (tmp_path / "xdg" / "dscore").symlink_to(aim)
    assert leave(HOST, PORT, MINE, xdg).path.parent == tmp_path / "tmp" / f"dscore-{USER}"
    assert list(aim.iterdir()) == []


def test_a_loose_directory_of_ours_is_closed_before_it_is_used(tmp_path: Path, xdg) -> None:
    directory = tmp_path / "xdg" / "dscore"
    directory.mkdir()
    directory.chmod(0o777)
    assert find(HOST, PORT, xdg) is None
    assert leave(HOST, PORT, MINE, xdg).path.parent == directory
    assert mode(directory) == 0o700


@pytest.mark.skipif(USER != 0, reason="needs root, to give a directory to another user")
def test_another_users_directory_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    squatted = tmp_path / "tmp" / f"dscore-{USER}"
    squatted.mkdir(mode=0o700)
    os.chown(squatted, 4711, 4711)
    with pytest.raises(OSError, match=rf"{squatted}: belongs to user 4711, not to user {USER}"):
        leave(HOST, PORT, MINE, {})


@pytest.mark.skipif(USER != 0, reason="needs root, to give files to another user")
def test_root_finds_any_users_but_no_file_that_a_user_has_planted(tmp_path: Path, xdg) -> None:
    theirs = tmp_path / "tmp" / "dscore-4711"
    theirs.mkdir(mode=0o700)
    path = theirs / NAME
    path.write_text(OTHER)
    path.chmod(0o600)
    os.chown(theirs, 4711, 4711)
    assert find(HOST, PORT, xdg) is None  # the file is root's, the directory is not
    os.chown(path, 4711, 4711)
    assert find(HOST, PORT, xdg) == (path, OTHER)


@pytest.mark.skipif(USER != 0, reason="needs root, to become another user")
def test_a_user_finds_only_what_is_its_own(tmp_path: Path, monkeypatch, xdg) -> None:
    leave(HOST, PORT, MINE, xdg)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert find(HOST, PORT, xdg) is None


@pytest.mark.parametrize(
    ("listening", "asked", "is_found"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("::1", "localhost", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "::1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "10.0.0.1", False),
        ("0.0.0.0", "10.0.0.1", False),
        ("127.0.0.1", "fleet.localhost", False),
        ("127.0.0.1", "localhost.example", False),
        ("127.0.0.1", "", False),
    ],
)
def test_it_is_found_for_loopback_addresses_only(
    listening: str, asked: str, is_found: bool, xdg: dict[str, str]
) -> None:
    leave(listening, PORT, MINE, xdg)
    assert (find(asked, PORT, xdg) is not None) == is_found
    assert find(asked, PORT + 1, xdg) is None


def test_no_place_at_all_is_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "tmp").rmdir()
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "missing"), "XDG_RUNTIME_DIR": "relative"}
    with pytest.raises(OSError, match=r"missing: No such file.*; .*dscore-\d+: No such file"):
        leave(HOST, PORT, MINE, environ)


def test_a_token_is_long_and_never_the_same() -> None:
    made = {make_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(token) >= 43 for token in made)


@pytest.mark.skipif(USER != 0, reason="needs root, to give files to another user")
@pytest.mark.parametrize(("listener", "is_told"), [(USER, True), (4711, False), (4712, False)])
def test_a_token_is_not_for_another_users_program_that_has_taken_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xdg, listener: int, is_told: bool
) -> None:
    leave(HOST, PORT, MINE, xdg)
    net = tmp_path / "proc" / "net"
    net.mkdir(parents=True)
    monkeypatch.setattr(operator_token, "PROC", tmp_path / "proc")
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    queues = "00000000:00000000 00:00000000 00000000"
    row = f"   0: 0100007F:{PORT:04X} 00000000:0000 0A {queues} {listener:5} 0 4711 1\n"
    (net / "tcp").write_text(head + row)
    assert (find(HOST, PORT, xdg) is not None) == is_told


def test_the_listener_of_a_real_socket_is_found(xdg: dict[str, str]) -> None:
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
        leave(HOST, port, MINE, xdg)
        assert find(HOST, port, xdg) is not None
        assert operator_token._may_hear(USER, port)
        assert operator_token._may_hear(4711, port) == (USER == 0)
