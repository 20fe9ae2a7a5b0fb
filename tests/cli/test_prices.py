"""What a batch costs at most, and that nothing is sent where the balance does not cover it."""

import re
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from msgapi import Request, Response, Retry
from msgapi.cli import main
from msgapi.cli.batch import command
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import through

Captured = pytest.CaptureFixture[str]
FILE = "to,text\n+4915112345678,Hello\n+4915112345679,Hello\n+4915112345679,Hello\nbad,Hello\n"
OPTIONS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION"]


def batch(tmp_path: Path, *options: str) -> list[str]:
    path = tmp_path / "people.csv"
    _ = path.write_text(FILE)
    return ["batch", str(path), *OPTIONS, *options]


def at(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> None:
    monkeypatch.setattr(command, "private_sandbox", lambda _: box)


def test_a_dry_run_tells_what_it_costs_at_most(tmp_path: Path, capsys: Captured) -> None:
    assert main(batch(tmp_path, "--dry-run", "--price", "basic=0.07", "--json")) == 1
    assert orjson.loads(capsys.readouterr().out)["amount"] == 0.14
    assert main(batch(tmp_path, "--dry-run", "--price", "basic=0.07")) == 1
    assert "EUR at most" in capsys.readouterr().out
    assert main(batch(tmp_path, "--dry-run", "--json")) == 1
    assert "amount" not in orjson.loads(capsys.readouterr().out)


def test_a_batch_that_the_balance_covers_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(balance=Decimal("0.14"))
    at(monkeypatch, box)
    assert main(batch(tmp_path, "--sandbox", "--price", "basic=0.07")) == 1
    assert len(box.messages) == 2
    assert "2 of 4 rows accepted" in capsys.readouterr().out


def test_a_batch_that_the_balance_does_not_cover_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(balance=Decimal("0.13"))
    at(monkeypatch, box)
    assert main(batch(tmp_path, "--sandbox", "--price", "basic=0.07")) == 3
    assert box.messages == ()
    told = capsys.readouterr()
    assert "0.01 EUR is missing, and the balance covers about 1 of 2 messages; nothing was sent" in told.err
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert main(batch(tmp_path, "--sandbox", "--price", "basic=0.07", "--json")) == 3
    found = orjson.loads(capsys.readouterr().out)
    assert (found["kind"], found["missing"], found["exit"]) == ("Stopped", "0.01", 3)


def test_a_balance_that_cannot_be_read_is_no_reason_to_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(faults=1.0)
    at(monkeypatch, box)
    monkeypatch.setattr("msgapi.cli.connection.PATIENT", Retry(attempts=1))
    assert main(batch(tmp_path, "--sandbox", "--price", "basic=0.07")) == 1
    assert box.messages == ()
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(batch(tmp_path, "--sandbox", "--price", "basic=0.07", "--json")) == 1
    assert orjson.loads(capsys.readouterr().out)["kind"] in {"ServerFault", "Unavailable", "Unanswered", "NotSent"}


def test_a_key_that_is_refused_is_a_matter_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    through(monkeypatch, Sandbox(api_key="sk_other"))
    assert main(batch(tmp_path, "--no-journal", "--price", "basic=0.07")) == 4
    assert "nothing was sent: Unauthorized" in capsys.readouterr().err


@pytest.mark.parametrize("body", [b"{}", b'{"reserved": 1, "total": 9}'])
def test_a_balance_that_is_not_told_is_no_reason_to_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, body: bytes
) -> None:
    box = Sandbox()
    asked: list[str] = []

    async def transport(request: Request, /) -> Answer:
        asked.append(request.url)
        return Response(200, {}, body) if request.url.endswith("/balance") else await box(request)

    through(monkeypatch, transport)
    assert main(batch(tmp_path, "--no-journal", "--price", "basic=1000")) == 1
    assert box.messages == ()
    assert len(asked) == 1
    told = capsys.readouterr()
    assert told.out == ""
    why = "the service does not say how much is free, " if b"total" in body else "the balance cannot be read, "
    assert re.fullmatch(rf"msgapi: {why}.*nothing was sent.*\n", told.err)


@pytest.mark.parametrize(
    "price", ["basic", "basic=", "basic=-1", "basic=NaN", "basic=1e9999999999999", "sms=0.07", "=1"]
)
def test_a_price_that_is_none_is_one_line(tmp_path: Path, capsys: Captured, price: str) -> None:
    assert main(batch(tmp_path, "--dry-run", "--price", price)) == 2
    assert capsys.readouterr().err.startswith("msgapi: --price takes a unit and EUR such as basic=0.07")


def test_a_price_that_is_missing_is_asked_for(tmp_path: Path, capsys: Captured) -> None:
    assert main(batch(tmp_path, "--dry-run", "--price", "single=0.11")) == 2
    assert "give their price, too, such as --price basic=0.07" in capsys.readouterr().err
    path = tmp_path / "mail.csv"
    _ = path.write_text("to,text\nada@shop.example,Hello\n")
    mail = ["batch", str(path), "--channel", "ch_demo", "--subject", "S", "--dry-run", "--price", "basic=1"]
    assert main(mail) == 2
    assert "--price email=0.07" in capsys.readouterr().err
