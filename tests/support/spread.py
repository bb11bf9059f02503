"""Which tests stay together when several workers run the suite (`pytest -n 3`)."""

import re

from xdist.scheduler import LoadScopeScheduling

TIER = re.compile(r"[\[-](unsafe-process|namespaces|bwrap|chroot|landlock)[-\]]")


class Spread(LoadScopeScheduling):
    """A file is one worker's, in its own order: its tests share fixtures, and what one leaves the next one feels.

    Tests of a tier of the sandbox are one worker's, too, whatever their file: the tier's process is started once.
    Hostile programs have time limits that count for the verdict, so no two batteries of them run at once. Files are
    handed out in the order in which they were collected: what is slow here is not what has many tests.
    """

    def __init__(self, config, log=None):
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid):
        file, _, name = nodeid.partition("::")
        tier = TIER.search(name) if "/sandbox/" in file else None
        return f"{file.rpartition('/')[0]} {tier[1]}" if tier else file
