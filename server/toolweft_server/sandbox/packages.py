"""The packages that programs may import beside the standard library: installed once, into a folder of their own.

An environment is a folder in the cache, named by interpreter, platform and requirements. It is there whole or not at
all: it is installed beside its place by uv or pip, from wheels alone, so that no package runs code meanwhile, and
then renamed. What the installer is told by the environment (an index, its password) reaches the installer only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream

from toolweft_catalog.tool import digest
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.locked import locked
from toolweft_server.sandbox.texts import clean, seconds

TIMEOUT = 1800.0
"""Seconds for one installation: a gigabyte over a slow line."""
_NOTE = "environment.json"
_NEW = ".new-"
_GONE = ".gone-"
_TOLD = 12
"""Lines of the installer that an error quotes."""
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_NO_MODULES = frozenset({"test", "tests", "testing", "docs", "doc", "examples", "bin", "scripts", "build"})


@dataclass(frozen=True, slots=True)
class Environment:
    """Packages that are installed. Nothing but they lies in `path`, so it may be shown to programs as a whole."""

    path: Path
    modules: tuple[str, ...]
    """What the packages asked for (not those that they need) are imported as, to be imported ahead."""


class Removed(NamedTuple):
    environments: int
    bytes: int


def default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("toolweft", appauthor=False)) / "packages"


def requirements(packages: Sequence[str]) -> list[str]:
    """Names and versions in one spelling and order.

    Raises:
        ValueError: An entry is something else: an option, a path, an address.

    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for text in packages:
        try:
            one = Requirement(text)
        except InvalidRequirement as error:
            raise ValueError(
                f"{text[:80]!r} is no requirement ({str(error).splitlines()[0]}); write a package's name, with a "
                "version if you like: 'numpy' or 'pandas>=2,<3'"
            ) from None
        if one.url:
            raise ValueError(f"{text[:80]!r} names an address; only names and versions are allowed, such as 'numpy'")
        one.name = canonicalize_name(one.name)
        found[str(one)] = one.name
    return sorted(found)


async def environment(
    packages: Sequence[str],
    *,
    folder: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
    environ: Mapping[str, str] | None = None,
) -> Environment:
    """The environment with these packages, installed now if it is not there. Needs no network when it is.

    `report` gets the installer's lines as they come. `environ` is the installer's environment, ours by default.

    Raises:
        SandboxError: It could not be installed: what the installer said, and what to do.

    """
    try:
        wanted = requirements(packages)
    except ValueError as error:
        raise SandboxError(f"`sandbox.packages`: {error}") from None
    base = folder or default_folder()
    place = base / digest([_interpreter(), wanted])
    try:
        if found := await to_thread.run_sync(_found, place):
            return found
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = ", ".join(wanted)
        async with locked(
            base / f"{place.name}.lock", waiting=lambda: report(f"another process is installing {name}; waiting for it")
        ):
            if found := await to_thread.run_sync(_found, place):
                return found
            report(f"installing {name} for programs into {str(place)!r}")
            return await _install(wanted, place, report, os.environ if environ is None else environ)
    except OSError as error:
        raise SandboxError(f"the packages for programs cannot be kept in {str(base)!r}: {error}") from error


def remove(*, days: float, folder: Path | None = None) -> Removed:
    """Deletes environments that no start used for so many days, and what broken-off installations left."""
    base = folder or default_folder()
    before, count, size = time.time() - days * 86_400, 0, 0
    for place in list(base.glob("*")) if base.is_dir() else []:
        used = place / _NOTE if (place / _NOTE).exists() else place
        with suppress(FileNotFoundError):  # somebody else removes, too
            if place.suffix != ".lock" and used.stat().st_mtime <= before:
                size += sum(each.lstat().st_size for each in place.rglob("*"))
                _drop(place)
                count += not place.name.startswith(".")
    return Removed(count, size)


def _interpreter() -> list[str]:
    """What decides which wheels fit."""
    version = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
    return [version, sysconfig.get_platform(), str(sysconfig.get_config_var("SOABI"))]


def _found(place: Path) -> Environment | None:
    try:
        note = json.loads((place / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    with suppress(OSError):
        os.utime(place / _NOTE)  # it is in use: `remove` goes by this
    modules = note.get("modules") if isinstance(note, dict) else None
    if not isinstance(modules, list) or not all(isinstance(each, str) for each in modules):
        return None
    return Environment(place / "site", tuple(modules)) if (place / "site").is_dir() else None


async def _install(
    wanted: Sequence[str], place: Path, report: Callable[[str], None], environ: Mapping[str, str]
) -> Environment:
    """Under the lock: whatever lies beside the place under its name was left by a process that died."""
    for left in place.parent.glob(f"{_NEW}{place.name}-*"):
        await to_thread.run_sync(_drop, left)
    new = Path(tempfile.mkdtemp(prefix=f"{_NEW}{place.name}-", dir=place.parent))
    try:
        (new / "site").mkdir()
        if wanted:
            await _run(wanted, new, report, environ)
        return await to_thread.run_sync(_settle, new, place, wanted)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_drop, new)
        raise


def _settle(new: Path, place: Path, wanted: Sequence[str]) -> Environment:
    """Gives a finished installation its name: from here on it is there."""
    modules = sorted(_modules(new / "site", wanted))
    note = {"requirements": list(wanted), "interpreter": _interpreter(), "modules": modules}
    (new / _NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")
    for each in (new, new / "site"):
        each.chmod(0o755)  # a sandbox may run as another user, who reads it
    (new / "site" / ".lock").unlink(missing_ok=True)  # uv's, open to everybody
    if place.exists():
        _drop(place)
    new.rename(place)
    return Environment(place / "site", tuple(modules))


async def _run(wanted: Sequence[str], new: Path, report: Callable[[str], None], environ: Mapping[str, str]) -> None:
    """The installer. A settings file in the folder that we were started in is not for it: it runs in its own."""
    command = [*_installer(environ), "--target", str(new / "site"), "--only-binary", ":all:", "--", *wanted]
    env = {**environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    told: list[str] = []
    try:
        with anyio.fail_after(TIMEOUT):
            async with await anyio.open_process(
                command, stdin=-3, stderr=-2, cwd=new, env=env, umask=0o022 if os.name == "posix" else -1
            ) as process:
                assert process.stdout is not None
                try:
                    async for line in _lines(process.stdout):
                        report(line)
                        told = [*told, line][-_TOLD:]
                    status = await process.wait()
                except BaseException:
                    with suppress(ProcessLookupError):
                        process.kill()  # leaving the block waits for it
                    raise
    except TimeoutError:
        raise SandboxError(f"installing {', '.join(wanted)} took longer than {seconds(TIMEOUT)}; try again") from None
    if status:
        raise SandboxError(
            f"{_blamed(wanted, told)} could not be installed for programs (`sandbox.packages`). The installer said: "
            f"{' / '.join(told) or 'nothing'}. Check the spelling, the network, and whether a wheel exists for "
            f"{_interpreter()[0]} on {_interpreter()[1]}."
        )


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[str]:
    """Lines fit to be shown, without the passwords of addresses."""
    rest = b""
    async for data in stream:
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if text := clean(_PASSWORD.sub("…@", line.decode("utf-8", "replace"))).strip()[:300]:
                yield text
        rest = rest[-65_536:]


def _installer(environ: Mapping[str, str]) -> list[str]:
    """The command up to its options: uv when it is there, else the pip of our interpreter.

    Raises:
        SandboxError: There is neither.

    """
    if uv := shutil.which("uv", path=environ.get("PATH")):
        # Copies, because a program of a weak backend could write through a link into uv's cache.
        how = ["--link-mode", "copy", "--compile-bytecode", "--no-progress", "--color", "never"]
        return [uv, "pip", "install", "--python", sys.executable, *how]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-I", "-m", "pip", "install", "--no-input", "--progress-bar", "off", "--no-color"]
    raise SandboxError(
        f"`sandbox.packages` needs uv or pip, and there is neither uv on PATH nor pip for {sys.executable!r}; install "
        "uv, or pip with `python -m ensurepip`"
    )


def _blamed(wanted: Sequence[str], told: Sequence[str]) -> str:
    """The requirements that the installer's words name, else all."""
    errors = [line for line in told if line.startswith("ERROR")]
    text = "\n".join(errors or told).lower().replace("_", "-")
    names = {each: re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in wanted}
    return ", ".join(each for each, name in names.items() if name in text) or ", ".join(wanted)


def _modules(site: Path, wanted: Sequence[str]) -> Iterator[str]:
    """What the wanted packages, not those that they need, are imported as."""
    from packaging.utils import canonicalize_name

    names = {canonicalize_name(re.split(r"[^\w.-]", each, maxsplit=1)[0]) for each in wanted}
    seen: set[str] = set()
    for found in metadata.distributions(path=[str(site)]):
        if canonicalize_name(found.metadata["Name"]) in names:
            for file in found.files or ():
                top = file.parts[0] if len(file.parts) > 1 else file.name.partition(".")[0]
                seen |= {top} if file.suffix in {".py", ".so", ".pyd"} else set()
    yield from (each for each in seen if each.isidentifier() and each[0] != "_" and each not in _NO_MODULES)


def _drop(place: Path) -> None:
    """Away from its name at once, then piece by piece, so that half an environment never stands under its name."""
    gone = place.with_name(f"{_GONE}{place.name.lstrip('.')}-{os.getpid()}")
    place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
