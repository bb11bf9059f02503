"""The configuration: what hosts write works unchanged, and what cannot work says so."""

import json

import pytest

from toolweft_server import config
from toolweft_server.config import McpEntry, OpenApiEntry, PythonEntry
from toolweft_server.errors import ConfigError


def write(tmp_path, document) -> str:
    path = tmp_path / "toolweft.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return str(path)


def test_no_configuration_at_the_default_place_is_fine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    loaded = config.load()
    assert loaded.servers == {}
    assert loaded.store == tmp_path / "data" / "toolweft" / "toolweft.db"


def test_the_three_kinds_of_entry_are_read(tmp_path):
    loaded = config.load(
        write(
            tmp_path,
            {
                "mcpServers": {"git": {"command": "uvx", "args": ["mcp-server-git"]}, "far": {"url": "https://x.test"}},
                "openapi": {"pets": {"spec": "pets.yaml", "auth": {"bearer": "abc"}}},
                "python": {"mine": {"module": "my_tools"}},
            },
        )
    )
    assert [type(entry) for entry in loaded.servers.values()] == [McpEntry, McpEntry, OpenApiEntry, PythonEntry]
    assert loaded.problems == ()


@pytest.mark.parametrize(
    "document",
    [
        {
            "mcpServers": {"a": {"command": "x", "disabled": False, "alwaysAllow": ["b"]}},
            "globalShortcut": "Ctrl+Space",
        },
        {"servers": {"a": {"type": "stdio", "command": "x"}}, "inputs": [{"id": "token", "type": "promptString"}]},
        {"mcpServers": {"a": {"command": "x", "env": {"B": "1"}}}, "someFutureHostSetting": {"deep": True}},
        '{\n  // my servers\n  "servers": {"a": {"command": "x", "args": ["http://not-a-comment"],},},\n}',
    ],
    ids=["claude desktop", "vs code", "unknown host", "comments and trailing commas"],
)
def test_a_hosts_own_file_works_unchanged(tmp_path, document):
    assert list(config.load(write(tmp_path, document)).servers) == ["a"]


def test_variables_expand_with_defaults_and_count_as_secrets_when_their_name_says_so(tmp_path):
    entry = {
        "command": "x",
        "args": ["${PLACE:-here}"],
        "env": {"API_TOKEN": "${TOKEN}", "MODE": "fast"},
        "headers": {"Authorization": "Bearer ${TOKEN}"},
    }
    path = write(tmp_path, {"mcpServers": {"a": entry}})
    loaded = config.load(path, environ={"TOKEN": "s3cret-value"})
    assert loaded.servers["a"].args == ["here"]
    assert loaded.servers["a"].env == {"API_TOKEN": "s3cret-value", "MODE": "fast"}
    assert "s3cret-value" in loaded.secrets
    assert "fast" not in loaded.secrets


@pytest.mark.parametrize(
    ("entry", "secret"),
    [
        ({"command": "x", "env": {"PGPASS": "value-1"}}, True),
        ({"command": "x", "env": {"apiKey": "value-1"}}, True),
        ({"command": "x", "args": ["--api-key", "value-1"]}, True),
        ({"command": "x", "args": ["--token=value-1"]}, True),
        ({"url": "https://user:value-1@example.com"}, True),
        ({"url": "https://example.com/?access_token=value-1"}, True),
        ({"url": "https://example.com", "headers": {"X-Auth": "Bearer value-1"}}, True),
        ({"command": "x", "env": {"GIT_AUTHOR_NAME": "value-1"}}, False),
        ({"command": "x", "env": {"KEYBOARD": "value-1"}}, False),
        ({"command": "x", "args": ["--path", "value-1"]}, False),
    ],
)
def test_what_counts_as_a_secret_goes_by_whole_words(tmp_path, entry, secret):
    loaded = config.load(write(tmp_path, {"mcpServers": {"a": entry}}))
    assert ("value-1" in loaded.secrets) is secret


BROKEN_ENTRIES = {
    "unset variable": ({"command": "x", "env": {"A": "${NOT_SET}"}}, "'NOT_SET' is not set"),
    "input": ({"command": "x", "env": {"A": "${input:token}"}}, "put the value into an environment variable"),
    "neither command nor url": ({"args": ["x"]}, "either a 'command' to start or a 'url'"),
    "both command and url": ({"command": "x", "url": "y"}, "and not both"),
    "not an object": ("npx", "must be an object, not 'npx'"),
    "args are a string": ({"command": "x", "args": "y"}, "args: input should be a valid list"),
    "timeout is negative": ({"command": "x", "timeout": -1}, "timeout: input should be greater than 0"),
}


@pytest.mark.parametrize(("entry", "message"), BROKEN_ENTRIES.values(), ids=BROKEN_ENTRIES.keys())
def test_a_broken_entry_costs_itself_alone_and_is_named(tmp_path, entry, message):
    path = write(tmp_path, {"mcpServers": {"bad": entry, "good": {"command": "y"}}})
    loaded = config.load(path, environ={})
    assert list(loaded.servers) == ["good"]
    (problem,) = loaded.problems
    assert problem.server == "bad"
    assert message in problem.message


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "toolweft", "args": ["serve"]},
        {"command": "/opt/bin/toolweft", "args": ["serve", "--config", "x"]},
        {"command": "uvx", "args": ["toolweft", "serve"]},
        {"command": "python", "args": ["-m", "toolweft_catalog.cli", "serve"]},
    ],
)
def test_an_entry_that_starts_toolweft_itself_is_skipped_and_said(tmp_path, entry):
    loaded = config.load(write(tmp_path, {"mcpServers": {"me": entry}}))
    assert loaded.servers == {}
    assert [(p.server, p.skipped) for p in loaded.problems] == [("me", True)]


BROKEN_FILES = {
    "not json": ("{nope", "is not JSON"),
    "a list": ([1], "must be a JSON object, not list"),
    "misspelt key": ({"mcpServer": {}}, "did you mean 'mcpServers'?"),
    "unknown key beside ours": ({"mcpServers": {}, "store": "x.db", "color": 1}, "unknown key 'color'"),
    "section is a list": ({"mcpServers": []}, "'mcpServers' must be an object"),
    "unknown preset": ({"policy": {"default": "yolo"}}, "must be host, careful or trust, not 'yolo'"),
    "unknown decision": ({"policy": {"a.b": "maybe"}}, "must be allow, ask or block, not 'maybe'"),
    "unknown limit": ({"limits": {"memroy": 1}}, "unknown limit 'memroy'; known are memory"),
    "limit is zero": ({"limits": {"wall": 0}}, "must be a positive number, not 0"),
    "limit is true": ({"limits": {"wall": True}}, "must be a positive number, not True"),
    "unknown backend": ({"sandbox": {"backend": "magic"}}, "'sandbox' backend"),
    "package by address": (
        {"sandbox": {"packages": ["x @ https://e.org/x.whl"]}},
        "only names and versions are allowed",
    ),
    "package as an option": ({"sandbox": {"packages": ["numpy", "-r x.txt"]}}, "'-r x.txt' is no requirement"),
    "store is a number": ({"store": 3}, "must be the path of a SQLite file, not 3"),
    "store is a url": ({"store": "postgresql://u:pw@h/d"}, "'store' is a postgresql URL"),
}


@pytest.mark.parametrize(("document", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES.keys())
def test_a_file_that_cannot_be_understood_is_refused_with_the_reason(tmp_path, document, message):
    with pytest.raises(ConfigError) as raised:
        config.load(write(tmp_path, document))
    assert message in str(raised.value)
    assert "pw" not in str(raised.value).split()


def test_a_missing_file_asked_for_by_name_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no configuration at"):
        config.load(tmp_path / "nowhere.json")


def test_the_same_name_twice_keeps_the_first(tmp_path):
    loaded = config.load(write(tmp_path, {"mcpServers": {"a": {"command": "x"}}, "python": {"a": {"module": "m"}}}))
    assert isinstance(loaded.servers["a"], McpEntry)
    assert "used twice" in loaded.problems[0].message


def test_a_changed_entry_has_another_digest_and_a_changed_variable_has_not(tmp_path):
    def digest_of(entry, **environ):
        return config.load(write(tmp_path, {"mcpServers": {"a": entry}}), environ=environ).digests["a"]

    assert digest_of({"command": "${X}"}, X="1") == digest_of({"command": "${X}"}, X="2")
    assert digest_of({"command": "x"}) != digest_of({"command": "y"})
