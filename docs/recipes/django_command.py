"""A management command of Django that sends a reminder to every customer of a table.

    python django_command.py november-reminder

In a project it is the file `management/commands/send_reminders.py` of an application, and ends before `if __name__`.
The customers are read by the thread of the command, on its own database connection. After Ctrl-C, `kill -9` or an empty
balance the same command sends the rest.
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator

import django
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, models

import msgapi
from msgapi import Call, Ok, journal, messages
from msgapi.messages import Accepted

if not settings.configured:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "shop.sqlite3")}
    settings.configure(DATABASES={"default": database})
    django.setup()


class Customer(models.Model):
    """A customer, and the number to write to."""

    phone: "models.CharField[str, str]" = models.CharField(max_length=16)
    first_name: "models.CharField[str, str]" = models.CharField(max_length=100)
    reminded: "models.BooleanField[bool, bool]" = models.BooleanField(default=False)

    class Meta:
        """Of which application the table is."""

        app_label = "shop"

    def __str__(self) -> str:
        """Return the primary key, which identifies no person."""
        return f"customer {self.pk}"


def reminders() -> Iterator[tuple[str, Call[Accepted]]]:
    """Yield a row for each customer: the id of the row, and the call."""
    for customer in Customer.objects.order_by("pk").iterator():
        text = messages.Text(
            agent_id="ag_live_demo",
            to=customer.phone,
            traffic_type="TRANSACTION",
            text=f"Hello {customer.first_name}, your appointment is tomorrow.",
        )
        yield f"customer-{customer.pk}", messages.send(text)


class Command(BaseCommand):
    """Send the reminders of one batch."""

    help = "Send a reminder to every customer. Repeat the command to continue after an interruption."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the name of the batch."""
        _ = parser.add_argument("batch", help="name of the batch; another name is another batch")

    def handle(self, *_args: object, **options: str) -> None:
        """Send the rows that are not settled, and mark the customers."""
        accepted, batch = 0, options["batch"]
        record = journal.open(f"{batch}.journal", batch=batch)
        with msgapi.BlockingClient() as client, client.batch(reminders(), journal=record) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome.result, Ok):
                    accepted += 1
                    _ = Customer.objects.filter(pk=outcome.id.removeprefix("customer-")).update(reminded=True)
                else:
                    self.stderr.write(f"{outcome.id}: {outcome.result.code}")
        self.stdout.write(f"{accepted} accepted, {outcomes.skipped} sent earlier")
        if outcomes.stopped is not None:
            raise CommandError(f"the batch has stopped ({outcomes.stopped.reason}): repeat the command to continue")


if __name__ == "__main__":
    if Customer._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - documented by Django
        with connection.schema_editor() as editor:
            editor.create_model(Customer)
        customers = [Customer(phone=f"+49151{number:08}", first_name="Ann") for number in range(200)]
        _ = Customer.objects.bulk_create(customers)
    Command().run_from_argv([sys.argv[0], "send_reminders", *sys.argv[1:]])
