# needs: work directory
import os
import sqlite3


class Product:
    def __init__(self):
        self.value = 1

    def step(self, n):
        self.value *= n

    def finalize(self):
        return self.value


db = sqlite3.connect("data.db")
db.execute("PRAGMA journal_mode=WAL")
db.create_aggregate("product", 1, Product)
with db:
    db.execute("CREATE TABLE n (value INT, text TEXT)")
    db.executemany("INSERT INTO n VALUES (?, ?)", ((i, f"row {i}") for i in range(1, 1001)))
print(db.total_changes, db.execute("SELECT product(value) FROM n WHERE value < 6").fetchone())
second = sqlite3.connect("data.db")
second.execute("INSERT INTO n VALUES (0, 'from another connection')")
second.commit()
count = db.execute("SELECT count(*), sum(value) FROM n").fetchone()
copy = sqlite3.connect("copy.db")
db.backup(copy)
plan = db.execute("EXPLAIN QUERY PLAN SELECT * FROM n WHERE value = 3").fetchall()
dump = [line for line in copy.iterdump() if line.startswith("CREATE")]
for each in (db, second, copy):
    each.close()
[
    count,
    dump,
    "SCAN" in plan[0][-1],
    os.path.getsize("copy.db") > 10_000,
    sqlite3.connect("copy.db").execute("SELECT text FROM n WHERE value=7").fetchone(),
]
