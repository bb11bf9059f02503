class Version:
    __match_args__ = ("major", "minor")

    def __init__(self, text):
        self.major, self.minor = map(int, text.split("."))


def supported(version):
    match version:
        case Version(3, minor) if minor >= 11:
            return "yes"
        case Version(3):
            return "old"
        case Version(major=major):
            return f"never: {major}"


answers = {text: supported(Version(text)) for text in ("3.12", "3.8", "2.7")}
print(answers)
try:
    match Version("1.0"):
        case Version(1, 0, 0):
            pass
except TypeError as error:
    message = str(error)
[answers, message]
