"""Long tables go out page by page, as fast as they are read, and little of them is ever in memory."""

import csv
import json
import tracemalloc

from charging_manager.cloud.admin_ledger import AdminLedger
from charging_manager.cloud.ledger import AUDIT_KEPT
from charging_manager.http.routes import Caller, Role, Source, Stream
from charging_manager.http.table import RawRequest, RouteTable
from tests.cloud.house import CloudTestCase

ADMIN = Caller(Role.ADMIN, source="10.0.0.9")
AUDIT = "/api/v1/cloud/admin/audit"


class Reader:
    """A sink that has room for so many writes, and keeps what comes only if it shall."""

    def __init__(self, room: int, keeps: bool = True) -> None:
        self.room, self.keeps = room, keeps
        self.got: list[bytes] = []
        self.largest = self.lines = self.writes = 0
        self.over = ""

    def write(self, data: bytes) -> bool:
        assert not self.over
        self.writes += 1
        self.largest, self.lines = max(self.largest, len(data)), self.lines + data.count(b"\r\n")
        if self.keeps:
            self.got.append(data)
        self.room -= 1
        return self.room > 0

    def finish(self) -> None:
        assert not self.over
        self.over = "finished"

    def fail(self) -> None:
        self.over = "failed"


class TableTests(CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.table = RouteTable(AdminLedger(self.ledger).routes(), "cloud")

    def fill(self, count: int) -> None:
        rows = [
            (n, "2026-03-01T12:00:00+00:00", "cloud-admin", "10.0.0.1", "added", f'=site "{n}"') for n in range(count)
        ]
        statement = "INSERT INTO audit (number, at, who, source, action, subject) VALUES (?, ?, ?, ?, ?, ?)"
        self.got(self.database.write(lambda db: db.executemany(statement, rows)))

    def begin(self, kind: str, reader: Reader) -> Source:
        stream = self.got(self.table.answer(RawRequest("GET", f"{AUDIT}.{kind}"), ADMIN))
        assert isinstance(stream, Stream)
        self.assertEqual(stream.filename, f"audit.{kind}")
        return stream.start(reader)

    def test_a_hundred_thousand_rows_are_never_in_memory_at_once(self) -> None:
        self.fill(AUDIT_KEPT)
        reader = Reader(10**9, keeps=False)
        tracemalloc.start()
        self.begin("csv", reader)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertEqual((reader.over, reader.lines), ("finished", AUDIT_KEPT + 1))
        self.assertLess(peak, 2_000_000)
        self.assertLess(reader.largest, 100_000)
        self.assertGreater(reader.writes, 100)

    def test_what_goes_out_is_the_whole_table(self) -> None:
        self.fill(1001)
        reader = Reader(10**9)
        self.begin("csv", reader)
        rows = list(csv.DictReader(b"".join(reader.got).decode().splitlines()))
        self.assertEqual([int(row["number"]) for row in rows], list(range(1000, -1, -1)))
        self.assertEqual(rows[0]["subject"], '\'=site "1000"')  # no formula
        reader = Reader(10**9)
        self.begin("json", reader)
        entries = json.loads(b"".join(reader.got))["audit"]
        self.assertEqual([entry["number"] for entry in entries], list(range(1000, -1, -1)))
        self.assertEqual(entries[0]["subject"], '=site "1000"')

    def test_an_empty_table_is_one_too(self) -> None:
        for kind, whole in (("csv", b"number,at,who,source,action,subject,hash\r\n"), ("json", b'{"audit":[]}')):
            reader = Reader(10**9)
            self.begin(kind, reader)
            self.assertEqual((b"".join(reader.got), reader.over), (whole, "finished"))

    def test_a_slow_reader_is_waited_for_and_one_that_goes_is_forgotten(self) -> None:
        self.fill(2000)
        reader = Reader(2)
        source = self.begin("csv", reader)
        self.assertEqual((reader.writes, reader.over), (2, ""))
        reader.room = 1
        source.resumed()
        self.assertEqual((reader.writes, reader.over), (3, ""))
        source.stopped()
        reader.room = 10**9
        source.resumed()
        self.assertEqual((reader.writes, reader.over), (3, ""))

    def test_a_table_that_cannot_be_read_on_breaks_off_and_is_not_taken_for_the_whole(self) -> None:
        self.fill(2000)
        reader = Reader(2)
        source = self.begin("csv", reader)
        self.got(self.database.write(lambda db: db.execute("DROP TABLE audit")))
        reader.room = 10**9
        source.resumed()
        self.assertEqual(reader.over, "failed")
        self.assertEqual(len(self.flushLoggedErrors()), 1)
