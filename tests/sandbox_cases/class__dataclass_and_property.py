from dataclasses import asdict, dataclass, field


@dataclass(order=True)
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)

    @property
    def norm(self):
        return abs(self.x) + abs(self.y)


print(sorted([Point(3), Point(1, 2)]))
[asdict(Point(1, 2)), Point(-3, 4).norm]
