import csv
import io

text = 'name;note;amount\nAnn;"said ""hi""; left";3,5\nBob;"two\nlines";10\n'
dialect = csv.Sniffer().sniff("a;b;c\n1;2;3\n4;5;6\n", delimiters=";,")
rows = list(csv.DictReader(io.StringIO(text), delimiter=dialect.delimiter))
total = sum(float(row["amount"].replace(",", ".")) for row in rows)
print(rows, total, dialect.delimiter)
out = io.StringIO(newline="")
writer = csv.DictWriter(out, ["name", "total"], restval="?", extrasaction="ignore", quoting=csv.QUOTE_NONNUMERIC)
writer.writeheader()
writer.writerows([{"name": "Ann, A.", "total": 3.5, "extra": 1}, {"name": 'q"t'}])
print(out.getvalue())


class Pipes(csv.excel):
    delimiter = "|"
    lineterminator = "\n"


csv.register_dialect("pipes", Pipes)
piped = io.StringIO()
csv.writer(piped, "pipes").writerows([[1, None, "a|b"], []])
ragged = list(csv.DictReader(["a,b", "1", "1,2,3"], restkey="more"))
[piped.getvalue(), ragged, list(csv.reader(["'x,y',z"], quotechar="'")), "pipes" in csv.list_dialects()]
