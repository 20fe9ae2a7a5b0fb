"""--sandbox-state: a sandbox that is kept in a file between commands."""

import json
import os
import re
import stat
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

from msgapi import Client
from msgapi.cli import connection, main, sandbox_state
from msgapi.cli.commands import sandbox as sandbox_command
from msgapi.cli.commands.sandbox import SandboxOptions
from msgapi.cli.output import CliError
from msgapi.cli.sandbox_state import open_state
from msgapi.sandbox import Sandbox

Captured = pytest.CaptureFixture[str]
RCS = ["--agent", "ag_shop", "--traffic", "TRANSACTION", "--text", "Hi"]
TO = "+4915112345678"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks and modes of files are those of POSIX")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The file of the state, which does not exist yet."""
    return tmp_path / "s.json"


def kept(state: Path) -> list[str]:
    """Options that keep the sandbox in *state*."""
    return ["--sandbox", "--sandbox-state", str(state)]


def restored(state: Path) -> Sandbox:
    return Sandbox.from_snapshot(orjson.loads(state.read_bytes()))


def test_the_next_command_finds_what_the_one_before_has_done(state: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["send", "--to", TO, *RCS, *kept(state)]) == 0
    sent = re.findall(r"msg_\w+", capsys.readouterr().out)
    assert main(["messages", "list", "--json", *kept(state)]) == 0
    assert [one["id"] for one in orjson.loads(capsys.readouterr().out)["messages"]] == sent
    people = tmp_path / "people.csv"
    _ = people.write_text(f"to\n{TO}\n+4915112345679\n")
    email = ["--channel", "ch_mine", "--template", "tpl_mine"]
    assert main(["batch", str(people), *RCS, *kept(state)]) == 0
    assert main(["send", "--to", "ann@shop.example", *email, *kept(state)]) == 0
    _ = capsys.readouterr()
    assert main(["balance", "--json", *kept(state)]) == 0
    assert orjson.loads(capsys.readouterr().out)["total"] <= 1_000_000
    assert len(restored(state).messages) == 4
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir() if one.name != people.name] == [state.name]
    assert len(state.read_text().splitlines()) == len(json.loads(state.read_text())) + 2


def test_it_is_written_after_an_error_too(state: Path, capsys: Captured) -> None:
    assert main(["send", "--to", "+447700900403", *RCS, *kept(state)]) == 1
    assert restored(state).requests == 1
    assert main(["messages", "get", "msg_none", *kept(state)]) == 1
    assert restored(state).requests == 2
    _ = capsys.readouterr()


def test_it_is_written_after_ctrl_c(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(_: object, box: Sandbox, **__: object) -> None:
        async with connection.open_client(box) as api:
            _ = await api(sandbox_balance())
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "make_call", interrupted)
    assert main(["balance", *kept(state)]) == 130
    assert restored(state).requests == 1


def sandbox_balance() -> Any:  # noqa: ANN401 - a call
    from msgapi import billing

    return billing.balance()


def test_without_a_sandbox_the_option_is_refused(
    state: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    assert main(["balance", "--sandbox-state", str(state)]) == 2
    assert capsys.readouterr().err == "msgapi: --sandbox-state keeps a sandbox: add --sandbox\n"
    assert not state.exists()


DAMAGED = "it is not JSON, or not all of it"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DAMAGED),
        (b"{", DAMAGED),
        (b"\xff", DAMAGED),
        (b"[" * 100_000, DAMAGED),
        (b"[]", "this is not the snapshot of a sandbox"),
        (b'{"format":"msgapi-sandbox","version":1}', "the snapshot is of another version of msgapi-sdk: it must have"),
        (b'{"format":"msgapi-sandbox","version":4}', "the snapshot is damaged at "),
        (b'{"format":NaN}', "a number in it is not one of JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_stays_as_it_is(
    state: Path, capsys: Captured, data: bytes, reason: str
) -> None:
    _ = state.write_bytes(data)
    assert main(["balance", *kept(state)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"msgapi: {state} cannot be used for --sandbox-state: {reason}")
    assert shown.endswith("; delete it, or name another file\n")
    assert state.read_bytes() == data
    assert [one.name for one in state.parent.iterdir()] == [state.name]


def test_a_cut_file_is_refused(state: Path, capsys: Captured) -> None:
    assert main(["balance", *kept(state)]) == 0
    whole = state.read_bytes()
    for size in range(0, len(whole) - 2, 97):
        _ = state.write_bytes(whole[:size])
        with pytest.raises(CliError), open_state(str(state), Sandbox):
            pass
    _ = capsys.readouterr()


def test_a_file_that_cannot_be_read_or_written_is_one_line(state: Path, capsys: Captured) -> None:
    state.mkdir()
    assert main(["balance", *kept(state)]) == 2
    assert capsys.readouterr().err == f"msgapi: cannot read {state}: Is a directory\n"
    assert main(["balance", *kept(state.parent / "none" / "s.json")]) == 2
    assert capsys.readouterr().err.endswith("s.json.lock: No such file or directory\n")


def test_a_disk_that_is_full_at_the_end_is_one_line(
    state: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["balance", *kept(state)]) == 2
    assert capsys.readouterr().err == f"msgapi: cannot write {state}: No space left on device\n"
    assert [*state.parent.iterdir()] == []
    assert click.get_current_context(silent=True) is None, "a later command in this process has its own"


def test_two_commands_at_once_on_one_file_are_refused(state: Path, capsys: Captured) -> None:
    with open_state(str(state), Sandbox):
        assert main(["balance", *kept(state)]) == 3
    said = f"msgapi: another command uses {state}: wait until it has ended, or name another file for --sandbox-state\n"
    assert capsys.readouterr().err == said
    assert main(["balance", *kept(state)]) == 0


def test_a_link_and_its_target_are_one_file(state: Path, capsys: Captured) -> None:
    link = state.with_name("link.json")
    link.symlink_to(state)
    with open_state(str(state), Sandbox):
        assert main(["balance", *kept(link)]) == 3
    assert f"another command uses {link}" in capsys.readouterr().err
    assert main(["balance", *kept(link)]) == 0
    assert link.is_symlink()


def test_the_lock_file_of_a_command_that_was_killed_is_no_obstacle(state: Path) -> None:
    lock = state.with_name(f"{state.name}.lock")
    lock.touch()
    assert main(["balance", *kept(state)]) == 0
    assert not lock.exists()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, locked = sandbox_state._lock_file, []

    def remove_first(path: str, descriptor: int) -> None:
        locked.append(descriptor)
        if len(locked) == 1:
            os.unlink(f"{path}.lock")  # noqa: PTH108 - as the other command does
        lock(path, descriptor)

    monkeypatch.setattr(sandbox_state, "_lock_file", remove_first)
    with open_state(str(state), Sandbox):
        assert len(locked) == 2


def test_a_file_system_without_locks_is_used_without_one(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with open_state(str(state), Sandbox):
        pass
    assert restored(state).requests == 0


def test_a_seed_of_more_than_64_bits_is_kept(state: Path) -> None:
    with open_state(str(state), partial(Sandbox, random_seed=2**70)):
        pass
    with open_state(str(state), Sandbox) as box:
        assert box.account.options.random_seed == 2**70


# msgapi sandbox --state.


def serve(state: Path, *options: str, call: str = "pass") -> int:
    program = (
        "import anyio, msgapi\nfrom msgapi import billing\n"
        f"async def run():\n    async with msgapi.Client() as api:\n        {call}\nanyio.run(run)"
    )
    return main(["sandbox", "--state", str(state), *options, "--", sys.executable, "-c", program])


def test_a_served_sandbox_is_kept_with_its_options(state: Path, capfd: Captured) -> None:
    assert serve(state, "--balance", "5", "--faults", "0", call="_ = await api(billing.balance())") == 0
    assert main(["balance", "--json", *kept(state)]) == 0
    assert orjson.loads(capfd.readouterr().out)["total"] == 5
    options = SandboxOptions(
        state=str(state),
        balance=Decimal(9),
        rate=7,
        late=0.5,
        given=frozenset({"balance", "rate", "late"}),
    )
    with options.open() as box:
        assert box.account.send_limit.requests == 7
        assert box.account.options.webhooks.late == 0.5
        assert box.balance.total == 5
        assert box.requests == 2
    assert capfd.readouterr().err == f"msgapi: --balance is for a new sandbox: that in {state} keeps its own\n"


def test_a_seed_is_for_a_new_sandbox_and_a_reset_brings_back_the_one_in_the_file(state: Path, capsys: Captured) -> None:
    seed = state.with_name("seed.json")
    _ = seed.write_text('{"balance": 5}')
    options = SandboxOptions(state=str(state), seed=str(seed), random_seed=3, given=frozenset({"seed", "random_seed"}))
    with options.open() as box:
        box.set_balance(Decimal(2))
        box.pause_clock()
        paused_at = box.time()
    _ = seed.write_text("no seed at all")
    with options.open() as box:
        assert (box.balance.free, box.time(), box.account.options.random_seed) == (Decimal(2), paused_at, 3)
        box.set_balance(Decimal(1))
        box.reset()
        assert (box.balance.free, box.time()) == (Decimal(2), paused_at)
    said = f"--random-seed and --seed are for a new sandbox: that in {state} keeps its own"
    assert capsys.readouterr().err == f"msgapi: {said}\n"


def test_only_the_options_that_were_given_change_a_sandbox_that_is_kept(
    state: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[SandboxOptions] = []

    async def run(options: SandboxOptions, *_: object, **__: object) -> int:
        opened.append(options)
        return 0

    monkeypatch.setattr(sandbox_command, "_serve", run)
    assert main(["sandbox", "--sandbox-state", str(state), "--rate", "7"]) == 0
    assert (opened[0].state, opened[0].given) == (str(state), frozenset({"state", "rate"}))
    _ = capsys.readouterr()


def test_options_without_a_section_are_damaged(state: Path) -> None:
    with open_state(str(state), Sandbox):
        pass
    snapshot = {**orjson.loads(state.read_bytes()), "options": 5}
    _ = state.write_bytes(orjson.dumps(snapshot))
    options = SandboxOptions(state=str(state), rate=7, given=frozenset({"rate"}))
    with pytest.raises(CliError, match="damaged at options: must be an object"), options.open():
        pass


@pytest.mark.anyio
async def test_a_client_over_a_kept_sandbox_is_told_to_be_over_one(state: Path) -> None:
    with open_state(str(state), Sandbox) as box:
        async with Client(transport=box, api_key=box.api_key, base_url="http://127.0.0.1") as api:
            assert "over a sandbox" in repr(api)


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use cannot be removed")
def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)

    def remove_it() -> None:
        with open_state("state.json", Sandbox):
            for one in gone.iterdir():
                one.unlink()
            gone.rmdir()

    with pytest.raises(CliError, match=r"cannot write state\.json: No such file or directory"):
        remove_it()
    monkeypatch.chdir(tmp_path)
