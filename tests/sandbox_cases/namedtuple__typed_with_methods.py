from collections import namedtuple
from typing import NamedTuple


class Employee(NamedTuple):
    name: str
    salary: float = 1000.0

    @property
    def yearly(self):
        return self.salary * 12


Size = namedtuple("Size", "width height depth", defaults=[1, 1])
ann = Employee("Ann")
name, salary = ann
match ann:
    case Employee(name="Ann", salary=amount):
        print("matched", amount)
print(ann, ann._replace(salary=5), Size(3))
rows = [Employee(*row) for row in [("Cid", 10), ("Bob", 30)]]
[
    ann.yearly,
    Size._fields,
    Size._field_defaults,
    Employee._make(["Eve", 1]) > ann,
    sorted(rows, key=lambda e: e.salary),
    ann[0],
]
