class AppError(Exception):
    """Base of ours."""


class NotFound(AppError, LookupError):
    def __init__(self, what, *, where="here"):
        super().__init__(what, where)
        self.what = what

    def __str__(self):
        return f"{self.what} not found in {self.args[1]}"


caught = []
for kind in (LookupError, AppError, NotFound):
    try:
        raise NotFound("key", where="table")
    except kind as error:
        error.add_note(f"caught as {kind.__name__}")
        caught.append((str(error), error.args, error.__notes__))
        print(repr(error))
[caught, [c.__name__ for c in NotFound.__mro__[:4]], issubclass(NotFound, LookupError)]
