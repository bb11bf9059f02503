import csv
import io
import json

rows = list(csv.DictReader(io.StringIO("a,b\n1,x\n2,y\n")))
out = io.StringIO()
csv.writer(out).writerows([r.values() for r in rows])
[json.loads(json.dumps(rows)), out.getvalue()]
