import sqlite3
from contextlib import closing

with closing(sqlite3.connect(":memory:")) as db:
    db.row_factory = sqlite3.Row
    db.executescript("""
        CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE book (title TEXT, year INT, author INT REFERENCES author(id), cover BLOB);
    """)
    db.executemany("INSERT INTO author(name) VALUES (?)", [("Ann",), ("Bob",)])
    db.executemany(
        "INSERT INTO book VALUES (:title, :year, :author, :cover)",
        [
            {"title": "A1", "year": 1999, "author": 1, "cover": b"\x00\x01"},
            {"title": "A2", "year": 2005, "author": 1, "cover": None},
            {"title": "B1", "year": 2001, "author": 2, "cover": None},
        ],
    )
    db.commit()
    try:
        with db:
            db.execute("DELETE FROM book")
            db.execute("INSERT INTO author(name) VALUES ('Ann')")
    except sqlite3.IntegrityError as error:
        print(error)
    db.create_function("shout", 1, lambda text: text.upper() + "!")
    rows = db.execute("""
        SELECT shout(name) AS who, count(*) AS books, min(year) AS first FROM book JOIN author ON author.id = book.author
        GROUP BY author.id ORDER BY books DESC""").fetchall()
    print([dict(row) for row in rows], rows[0].keys())
    ranked = db.execute("SELECT title, rank() OVER (ORDER BY year) FROM book ORDER BY title").fetchall()
    cover = db.execute("SELECT cover FROM book WHERE title = ?", ("A1",)).fetchone()[0]
    try:
        db.execute("SELECT nothing FROM nowhere")
    except sqlite3.OperationalError as error:
        problem = str(error)
[[tuple(r) for r in ranked], cover.hex(), problem, sqlite3.threadsafety >= 0]
