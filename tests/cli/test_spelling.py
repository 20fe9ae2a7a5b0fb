"""What is suggested for a mistyped name of an option, a command or an event."""

import pytest

from msgapi.cli import main
from msgapi.cli.spelling import near_names

Captured = pytest.CaptureFixture[str]
TYPOS = [
    ("batch --max-spent 1", ["--max-spend"]),
    ("batch --max_spend 1", ["--max-spend"]),
    ("batch --maxspend 1", ["--max-spend"]),
    ("batch --resum", ["--resume"]),
    ("batch --result r.jsonl", ["--results"]),
    ("batch --dryrun", ["--dry-run"]),
    ("batch --dry", ["--dry-run"]),
    ("batch --Dry-Run", ["--dry-run"]),
    ("batch --trafic TRANSACTION", ["--traffic"]),
    ("batch --concurency 1", ["--concurrency"]),
    ("batch --limit-rate 3", ["--rate"]),
    ("batch --price-basic 1", ["--price"]),
    ("batch --fail f.csv", ["--failed"]),
    ("batch --force", []),
    ("batch --limit 3", []),
    ("batch --output x", []),
    ("batch --re", []),  # region, resend-unknown, results, resume
    ("batch -x", []),
    ("batch report j --expert csv", ["--export"]),
    ("batch report j --htm x", ["--html"]),
    ("batch report j --overwite", ["--overwrite"]),
    ("batch report j --max-spend 1", []),
    ("send --txt Hi", ["--text"]),
    ("send --txet Hi", ["--text"]),
    ("send --too x", ["--to"]),
    ("send --agent-id x", ["--agent"]),
    ("send --idempotency x", ["--idempotency-key"]),
    ("send --idempotancy-kay x", ["--idempotency-key"]),
    ("send --sandbx", ["--sandbox"]),
    ("send --body x", []),
    ("send --from x", []),
    ("send --phone x", []),
    ("send --quiet", []),
    ("send --verbose", []),
    ("send --rate 1", []),
    ("webhooks list --limt 3", ["--limit"]),
    ("webhooks listen --forward http://x", ["--forward-to"]),  # --forward-secret is not shown in the help
    ("contacts import f --phone-colum x", ["--phone-column"]),
    ("contacts import f --emailcolumn x", ["--email-column"]),
    ("billing top-up 5 --ye", ["--yes"]),
    ("billing auto-reload --disabel", ["--disable"]),
    ("configure --key x", ["--key-command", "--key-file"]),
    ("sandbox --prt 3", ["--port"]),
    ("doctor --prob", ["--probe"]),
    ("doctor --fix", []),
    ("--versio", ["--version"]),
    ("balanec", ["balance"]),
    ("sent", ["send"]),
    ("message list", ["messages"]),
    ("config", ["configure"]),
    ("xyzzy", []),
    ("billing topup 5", ["top-up"]),
    ("billing balance", []),
    ("campaigns start x", []),
    ("contacts list", []),
    ("contacts consnt list", ["consent"]),
    ("fleet enque f", ["enqueue"]),
    ("messages show x", []),
    ("webhooks tset", ["test"]),
    ("webhooks creat", ["create"]),
    ("webhooks add", []),
    ("profiles remove x", []),
    ("webhooks trigger message.raed", ["message.read"]),
    ("webhooks trigger balance_low", ["billing.balance_low"]),
    ("webhooks trigger message.xyzzy", []),
]


@pytest.mark.parametrize(("typed", "near"), TYPOS)
def test_only_near_names_of_the_command_itself_are_suggested(typed: str, near: list[str], capsys: Captured) -> None:
    assert main(typed.split()) == 2
    said = capsys.readouterr().err
    question = f" Did you mean {' or '.join(map(repr, near))}?"
    assert (question in said) if near else ("Did you mean" not in said)
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("abdc", ["abcd"]),  # two letters in the wrong order are one edit
        ("abc", ["abcd"]),
        ("xbcd", ["abcd"]),
        ("xycd", []),  # two edits are too many for four letters
        ("bcdefxh", ["abcdefgh"]),
        ("", []),
        ("--", []),
        ("a", []),
    ],
)
def test_how_far_a_near_name_is_depends_on_the_length(word: str, near: list[str]) -> None:
    assert near_names(word, ["abcd", "abcdefgh", "zzz"]) == near
