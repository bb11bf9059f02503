import enum


class Permission(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    RUN = enum.auto()
    ALL = READ | WRITE | RUN


class Planet(enum.Enum):
    EARTH = (5.97e24, 6.378e6)
    MARS = (6.42e23, 3.397e6)
    TERRA = (5.97e24, 6.378e6)

    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius

    @property
    def gravity(self):
        return round(6.674e-11 * self.mass / self.radius**2, 1)


class Level(enum.StrEnum):
    LOW = enum.auto()
    HIGH = "H"


mine = Permission.READ | Permission.RUN
print([p.name for p in mine], Permission.WRITE in mine, (Permission.ALL & ~mine).name)
try:
    Planet((1, 1))
except ValueError as error:
    print(type(error).__name__)
[
    Planet.TERRA is Planet.EARTH,
    [p.name for p in Planet],
    Planet.MARS.gravity,
    Level.LOW + "!",
    Level("H").name,
    list(Planet.__members__),
]
