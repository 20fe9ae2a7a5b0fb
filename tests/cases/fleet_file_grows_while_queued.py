"""The file of `msgapi fleet enqueue` grows after it was counted: the table of rows seen is full, and its search never ends.

Uses what stands behind the command, so that no broker is needed. Right: the file is checked again, and the command ends
with a sentence.
"""

from serve import *

from functools import partial

from msgapi.cli.batch.calls import RowCalls, RowIds
from msgapi.cli.batch.input import open_input
from msgapi.cli.batch.template import MessageTemplate
from msgapi.cli.exits import CliError
from msgapi.journal import key_of

limit(8)
file = people(50)
with open_input(str(file)) as table:
    builder = MessageTemplate(given={"agent_id": "ag_1", "traffic_type": "TRANSACTION", "text": "Hi {name}"}).bind(table.columns)
    with file.open("a") as more:
        more.writelines(f"{number(n)},P{n}\n" for n in range(51, 500))
    made = 0
    try:
        for _ in RowCalls(builder, RowIds(), False).make(table.rows(), table.count, partial(key_of, "b")):
            made += 1
    except CliError as error:
        print(error)
done(False, f"{made} rows, and an end")
