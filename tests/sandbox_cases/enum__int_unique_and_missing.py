import enum
import json


class Status(enum.IntEnum):
    OK = 200
    GONE = 410

    @classmethod
    def _missing_(cls, value):
        return cls.OK if value == 0 else None


class Weekday(enum.Enum):
    @staticmethod
    def _generate_next_value_(name, start, count, last_values):
        return name[:2].lower()

    MONDAY = enum.auto()
    TUESDAY = enum.auto()


try:

    @enum.unique
    class Twice(enum.Enum):
        A = 1
        B = 1
except ValueError as error:
    print(str(error).partition(":")[0])
Shape = enum.Enum("Shape", "SQUARE CIRCLE")
print(json.dumps({"status": Status.GONE}), Status(0).name, repr(Shape.CIRCLE))
try:
    Status(500)
except ValueError as error:
    problem = str(error)
[sorted([Status.GONE, Status.OK]), Weekday("tu").name, Shape["SQUARE"].value, problem, Status.OK < 300]
