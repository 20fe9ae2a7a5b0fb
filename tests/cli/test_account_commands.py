"""The commands about the account: agents, campaigns and billing."""

from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from msgapi import Request, Response, Unanswered
from msgapi.cli import main
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import through
from tests.support.sandbox_requests import request

Captured = pytest.CaptureFixture[str]
CAMPAIGN = "6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"
Show = Callable[..., str]
pytestmark = pytest.mark.usefixtures("no_settings")


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)


@pytest.mark.parametrize(
    "command",
    [
        "agents get ag_live_demo",
        "agents create --display-name A --billing-category CONVERSATIONAL --use-case OTP",
        "agents update ag_draft_1 --display-name B",
        "agents submit ag_draft_1",
        "agents launch-status ag_live_demo",
        f"campaigns status {CAMPAIGN}",
        f"campaigns trigger {CAMPAIGN}",
        f"campaigns pause {CAMPAIGN}",
        f"campaigns resume {CAMPAIGN}",
        "billing usage",
        "billing tier",
        "billing transactions",
        "billing transactions --csv",
        "billing invoices",
        "billing payment-methods",
        "billing top-up 50 --yes",
        "billing auto-reload",
        "billing auto-reload --disable",
        "billing set-alert 20",
    ],
)
def test_without_a_key_each_command_ends_with_status_4(command: str, capsys: Captured) -> None:
    assert main(command.split()) == 4
    shown = capsys.readouterr()
    assert "MSGAPI_API_KEY" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    "command",
    [
        "agents get ag_none",
        "agents update ag_none --display-name B",
        "agents submit ag_none",
        "agents launch-status ag_none",
        "campaigns status none",
        "campaigns trigger none",
        "campaigns pause none",
        "campaigns resume none",
        "billing top-up 50 --yes --payment-method-id pm_none",
    ],
)
def test_an_unknown_id_is_one_line_with_advice_and_a_document(command: str, run: Show) -> None:
    said = run(*command.split(), status=1)
    assert "NotFound not_found: " in said
    assert "Check " in said
    assert orjson.loads(run(*command.split(), "--json", status=1))["code"] == "not_found"


# agents


def test_an_agent_goes_from_the_draft_to_the_launch(box: Sandbox, run: Show, tmp_path: Path) -> None:
    options = ["--display-name", "Shop", "--billing-category", "conversational", "--use-case", "otp"]
    made = run("agents", "create", *options, "--newsletter-enabled")
    name = made.removeprefix("created ").strip()
    shown = run("agents", "get", name)
    assert "DRAFT" in shown
    said = run("agents", "submit", name, status=1)
    assert said.startswith("msgapi: Unprocessable ")
    path = tmp_path / "agent.json"
    texts = {"description": "Parcels", "logo_url": "https://shop.example/l.png", "phone": "+4930123456"}
    links = {"banner_url": "https://shop.example/b.png", "privacy_policy_url": "https://shop.example/p"}
    more = {"color": "#000000", "terms_of_service_url": "https://shop.example/t", "website": "https://shop.example"}
    _ = path.write_bytes(orjson.dumps(texts | links | more))
    assert run("agents", "update", name, "--from", str(path), "--color", "#123456") == f"updated {name}\n"
    changed = run("agents", "update", name, "--from", str(path), "--color", "#123456", "--json")
    assert orjson.loads(changed)["color"] == "#123456"
    assert run("agents", "submit", name).startswith(f"{name} is in review; estimated days: ")
    assert "Conflict" in run("agents", "update", name, "--website", "https://a.example", status=1)
    live = box.approve(name)
    assert "vodafone_de" in run("agents", "launch-status", live)
    carriers = orjson.loads(run("agents", "launch-status", live, "--json"))["carriers"]
    assert {one["status"] for one in carriers} == {"UNLAUNCHED"}


def test_an_agent_is_created_from_a_file_or_standard_input(
    run: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"display_name":"Shop","region":"EUROPE","billing_category":"CONVERSATIONAL","use_case":"OTP"}'
    path = tmp_path / "agent.json"
    _ = path.write_bytes(body)
    assert run("agents", "create", "--from", str(path)).startswith("created ag_draft_")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(body)))
    assert orjson.loads(run("agents", "create", "--from", "-", "--json"))["display_name"] == "Shop"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "agent.json is not JSON: "),
        (b"[]", "agent.json must have one JSON object, such as"),
        (b'{"displayname":"x"}', "no such field: displayname (fields: display_name, region, billing_category"),
        (b"{}", "display_name, region, billing_category, use_case missing: give --display-name, --region, "),
        (b'{"display_name":7,"region":"EUROPE","billing_category":"CONVERSATIONAL","use_case":"OTP"}', "display_name"),
    ],
)
def test_a_file_that_is_not_an_agent_is_one_line(body: bytes, said: str, run: Show, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    _ = path.write_bytes(body)
    assert said in run("agents", "create", "--from", str(path), status=2)


def test_a_file_that_does_not_exist_and_a_change_of_nothing_are_one_line(run: Show) -> None:
    assert "cannot read none.json: No such file" in run("agents", "create", "--from", "none.json", status=2)
    assert "must change something" in run("agents", "update", "ag_1", status=2)
    assert "region" not in run("agents", "create", status=2)  # it has a default
    assert "billing_category, use_case missing" in run("agents", "create", "--display-name", "x", status=2)


def test_an_answer_with_no_more_than_an_id_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    async def transport(_: Request, /) -> Answer:
        return Response(200, {}, b'{"agent_id":"ag_1"}')

    through(monkeypatch, transport)
    assert main(["agents", "submit", "ag_1"]) == 0
    assert capsys.readouterr().out == "ag_1 is in review\n"
    assert main(["agents", "launch-status", "ag_1"]) == 0
    assert capsys.readouterr().out == "no carriers\n"


# campaigns


def test_a_campaign_is_triggered_once_paused_and_resumed(run: Show) -> None:
    assert "SCHEDULED" in run("campaigns", "status", CAMPAIGN)
    first = run("campaigns", "trigger", CAMPAIGN, "--idempotency-key", "k1")
    assert first == run("campaigns", "trigger", CAMPAIGN, "--idempotency-key", "k1")
    assert first.startswith("running: run run_")
    assert "Conflict" in run("campaigns", "trigger", CAMPAIGN, status=1)
    assert run("campaigns", "pause", CAMPAIGN) == "status  PAUSED\n"
    assert run("campaigns", "resume", CAMPAIGN) == "status  RUNNING\n"
    found = orjson.loads(run("campaigns", "status", CAMPAIGN, "--json"))
    assert (found["status"], found["extra"]["executions"]["total"]) == ("RUNNING", 100)


def test_an_answer_without_a_status_is_done(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    async def transport(_: Request, /) -> Answer:
        return Response(200, {}, b"{}")

    through(monkeypatch, transport)
    assert main(["campaigns", "resume", CAMPAIGN]) == 0
    assert capsys.readouterr().out == "done\n"


def test_a_run_that_may_have_begun_is_repeated_with_its_key(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    keys: list[str] = []

    async def transport(request: Request, /) -> Answer:
        keys.append(request.headers["Idempotency-Key"])
        return Unanswered("no answer in time")

    through(monkeypatch, transport)
    assert main(["campaigns", "trigger", CAMPAIGN]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"msgapi: to repeat this command without a second effect: --idempotency-key {keys[0]}\n")
    assert f"To repeat it without a second effect: --idempotency-key {keys[0]}\n" in said
    assert main(["campaigns", "trigger", CAMPAIGN, "--idempotency-key", keys[0], "--json"]) == 1
    assert keys[0] == keys[1]
    found = orjson.loads(capsys.readouterr().out)
    assert (found["may_have_happened"], found["idempotency_key"]) == (True, keys[0])


# billing


def test_a_top_up_asks_first(box: Sandbox, run: Show, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    at_a_terminal(monkeypatch, "y")
    assert run("billing", "top-up", "12.5") == "added 12.50 EUR\n"
    assert box.balance.free == Decimal("112.5")
    at_a_terminal(monkeypatch, "n")
    assert "cancelled: nothing was sent" in run("billing", "top-up", "50", status=130)
    assert box.balance.free == Decimal("112.5")
    assert capsys.readouterr().out == ""


def test_without_a_terminal_a_top_up_needs_yes(box: Sandbox, run: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert "this needs a confirmation: add --yes" in run("billing", "top-up", "50", status=2)
    assert box.balance.free == 100
    assert run("billing", "top-up", "50", "--yes") == "added 50.00 EUR\n"
    assert box.balance.free == 150


def test_a_top_up_with_the_same_key_is_charged_once(box: Sandbox, run: Show) -> None:
    for _ in range(2):
        found = orjson.loads(run("billing", "top-up", "50", "--yes", "--idempotency-key", "k1", "--json"))
        assert found["idempotency_key"] == "k1"
    assert box.balance.free == 150


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("9.99", "amount must be at least 10"),
        ("10.001", "amount"),
        ("much", "much is not an amount"),
        ("-5", "No such option"),
    ],
)
def test_an_amount_that_is_not_valid_is_refused_before_the_question(amount: str, said: str, run: Show) -> None:
    assert said in run("billing", "top-up", amount, status=2)


def test_the_key_of_a_top_up_is_printed_before_it_is_sent(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    printed: list[str] = []

    async def transport(request: Request, /) -> Answer:
        printed.append(capsys.readouterr().err)
        assert request.headers["Idempotency-Key"] in printed[0]
        return Response(402, {}, b'{"error":"insufficient_balance","message":"m"}')

    through(monkeypatch, transport)
    assert main(["billing", "top-up", "50", "--yes"]) == 1
    assert len(printed) == 1
    assert "Top up, then run it again." in capsys.readouterr().err


def test_the_sandbox_of_a_top_up_has_room_for_it(capsys: Captured) -> None:
    assert main(["billing", "top-up", "50", "--yes", "--sandbox"]) == 0
    assert capsys.readouterr().out == "added 50.00 EUR\n"


def test_automatic_top_ups_are_shown_and_set(run: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("billing", "auto-reload") == "enabled  false\n"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    setting = ["--enable", "--threshold", "20", "--amount", "50"]
    assert "--yes" in run("billing", "auto-reload", *setting, status=2)
    assert run("billing", "auto-reload", *setting, "--yes") == "automatic top-ups are on\n"
    assert orjson.loads(run("billing", "auto-reload", "--json"))["reload_amount"] == 50
    assert run("billing", "auto-reload", "--disable") == "automatic top-ups are off\n"
    assert "--enable needs --threshold and --amount" in run("billing", "auto-reload", "--enable", status=2)
    assert "--threshold and --amount need --enable" in run("billing", "auto-reload", "--amount", "50", status=2)
    assert "reload_amount must be at least 10" in run(
        "billing", "auto-reload", "--enable", "--threshold", "1", "--amount", "1", status=2
    )


def test_settings_that_the_answer_lacks_are_off(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    async def transport(_: Request, /) -> Answer:
        return Response(200, {}, b"{}")

    through(monkeypatch, transport)
    assert main(["billing", "auto-reload"]) == 0
    assert capsys.readouterr().out == "the service returned no settings\n"


def test_the_alert_is_set(run: Show) -> None:
    assert run("billing", "set-alert", "20") == "the service sends an alert if the balance is below 20.00 EUR\n"
    assert orjson.loads(run("billing", "set-alert", "20", "--json"))["extra"]["low_balance_threshold"] == 20
    assert "is not an amount" in run("billing", "set-alert", "x", status=2)


def test_usage_and_tiers_are_shown(run: Show) -> None:
    shown = run("billing", "usage", "--month", "2026-05")
    assert "month     2026-05\n" in shown
    assert "channels\n  channel   RCS\n" in shown
    days = ["--since", "2026-05-01", "--until", "2026-05-04"]
    assert "group_by  day" in run("billing", "usage", *days)
    assert "group_by  channel" in run("billing", "usage", *days, "--group-by", "channel")
    assert orjson.loads(run("billing", "tier", "--channel", "RCS", "--json"))["extra"]["current"] == "tier_1"
    assert "tiers\n  channel " in run("billing", "tier")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--month 2026-05 --since 2026-05-01 --until 2026-05-02", "give --month alone, or --since and --until"),
        ("--since 2026-05-01", "give --month alone, or --since and --until"),
        ("--group-by day", "give --month alone, or --since and --until"),
        ("--month May", "month"),
        ("--since May", "--since takes a date such as 2026-05-04, not 'May'"),
    ],
)
def test_a_span_that_is_not_valid_is_one_line(options: str, said: str, run: Show) -> None:
    assert said in run("billing", "usage", *options.split(), status=2)


def test_payment_methods_are_listed(box: Sandbox, run: Show) -> None:
    assert run("billing", "payment-methods") == "no payment methods\n"
    added = request("POST", "/v1/billing/payment-methods", body={"type": "credit_card"})
    assert box.handle(added).response.status == 201
    assert "credit_card" in run("billing", "payment-methods")
    name = orjson.loads(run("billing", "payment-methods", "--json"))["payment_methods"][0]["id"]
    assert run("billing", "top-up", "50", "--yes", "--payment-method-id", name) == "added 50.00 EUR\n"


def test_transactions_are_listed_by_pages(run: Show, capsys: Captured) -> None:
    for _ in range(3):
        _ = run("billing", "top-up", "50", "--yes")
    assert main(["billing", "transactions", "--sandbox", "--limit", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("topup") == 2
    cursor = shown.err.split("--cursor ")[1].split(",")[0]
    assert run("billing", "transactions", "--cursor", cursor, "--limit", "2").count("topup") == 1
    assert run("billing", "transactions", "--all", "--limit", "2").count("topup") == 3
    page = orjson.loads(run("billing", "transactions", "--limit", "2", "--json"))
    assert (len(page["transactions"]), page["next_cursor"]) == (2, cursor)
    whole = orjson.loads(run("billing", "transactions", "--all", "--limit", "2", "--json"))
    assert (len(whole["transactions"]), whole["next_cursor"]) == (3, None)
    assert run("billing", "transactions", "--since", "2026-05-05") == "no transactions\n"
    assert run("billing", "invoices") == "no invoices\n"
    assert orjson.loads(run("billing", "invoices", "--json")) == {"invoices": [], "next_cursor": None}
    assert "cannot be used together" in run("billing", "invoices", "--csv", "--json", status=2)
    assert "limit" in run("billing", "invoices", "--limit", "0", status=2)
    assert "validation_error" in run("billing", "transactions", "--cursor", "no", status=1)
    assert orjson.loads(run("billing", "transactions", "--cursor", "no", "--json", status=1))["kind"] == "Invalid"


ROWS = [
    b'{"id":"t1","type":"=cmd()","amount":-0.07,"currency":"EUR","created_at":"2026-05-04T07:30:00Z","message_id":"m1"}',
    b'{"id":"t2","type":"topup","amount":50.0,"currency":"EUR","created_at":"2026-05-04T07:31:00Z","message_id":null}',
    b'{"id":"t3","type":"a,\\"b\\"\\n","amount":1e3}',
]


def paged(monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> list[str]:
    """Answer the requests in turn, and return their targets."""
    left, asked = list(answers), list[str]()

    async def transport(request: Request, /) -> Answer:
        asked.append(request.url)
        return left.pop(0)

    through(monkeypatch, transport)
    return asked


def page(rows: list[bytes], cursor: str = "null", name: bytes = b"transactions") -> Response:
    return Response(200, {}, b'{"%s":[%s],"next_cursor":%s}' % (name, b",".join(rows), cursor.encode()))


def test_csv_has_all_pages_and_cells_that_no_spreadsheet_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    asked = paged(monkeypatch, page(ROWS[:1], '"c2"'), page(ROWS[1:]))
    assert main(["billing", "transactions", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "created_at,id,type,amount,currency,extra",
        """2026-05-04T07:30:00Z,t1,'=cmd(),-0.07,EUR,"{""message_id"":""m1""}\"""",
        "2026-05-04T07:31:00Z,t2,topup,50.0,EUR,",
        ',t3,"a,""b""\\u000a",1000.0,,',
    ]
    assert asked[1].endswith("cursor=c2")


def test_a_list_that_ends_with_an_error_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    fault = Response(500, {}, b'{"error":"internal_error","message":"m"}')
    for options, shown in (["--csv"], "t1,"), (["--all"], "t1 "):
        _ = paged(monkeypatch, page(ROWS[:1], '"c2"'), fault)
        assert main(["billing", "transactions", *options]) == 1
        printed = capsys.readouterr()
        assert shown in printed.out
        assert "ServerFault internal_error" in printed.err
        assert printed.err.endswith("msgapi: the list of transactions is not complete\n")
    _ = paged(monkeypatch, page(ROWS[:1], '"c2"'), fault)
    assert main(["billing", "transactions", "--all", "--json"]) == 1
    assert orjson.loads(capsys.readouterr().out)["code"] == "internal_error"
    _ = paged(monkeypatch, fault)
    assert main(["billing", "transactions", "--all"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "complete" not in printed.err


def test_a_row_that_cannot_be_read_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    for options, status in ([], 0), (["--csv"], 1):
        _ = paged(monkeypatch, page([*ROWS[1:2], b"7"]))
        assert main(["billing", "transactions", *options]) == status
        printed = capsys.readouterr()
        assert "t2" in printed.out
        assert printed.err == "msgapi: 1 row is unreadable and left out: --json shows what came\n"
    _ = paged(monkeypatch, page([*ROWS[1:2], b"7"]))
    assert main(["billing", "transactions", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["transactions"][1] == 7


def test_invoices_have_their_urls(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    row = b'{"id":"inv_1","month":"2026-05","amount":12.5,"pdf_url":"https://files.example/a.pdf"}'
    _ = paged(monkeypatch, page([row], name=b"invoices"))
    assert main(["billing", "invoices"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == [
        "2026-05",
        "inv_1",
        "12.5",
        "https://files.example/a.pdf",
    ]


def test_a_reader_of_csv_that_has_gone_ends_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    asked = paged(monkeypatch, page(ROWS[:1], '"c2"'), page(ROWS[1:]))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr("sys.stdout", gone)
        assert main(["billing", "transactions", "--csv"]) == 0
    assert len(asked) == 1
