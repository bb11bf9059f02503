"""Secrets do not reach the disk; ordinary text does, unchanged; hostile text costs no more than its length."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_server.scrub import MASK, Scrubber

SECRETS = [
    "sk-abcdefghijklmnopqrstuvwx", "sk-proj-1234567890abcdef1234", "ghp_" + "a1B2" * 9, "github_pat_" + "a1" * 20,
    "AKIAIOSFODNN7EXAMPLE", "xoxb-1234567890-abcdef", "AIza" + "b" * 35, "hf_" + "c" * 30,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF-_123", "Bearer abcdefghijklmnop", "Basic dXNlcjpwYXNzd29yZA==",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\nMIIE+/=\n-----END RSA PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_the_usual_shapes_of_secrets_are_masked_inside_any_text(secret):
    scrub = Scrubber()
    assert scrub.text(f"before {secret} after") == f"before {MASK} after"
    assert scrub.find(f"x = {secret!r}") is not None


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password=hunter22&x=1", f"password={MASK}&x=1"),
        ('{"api_key": "abc def"}', f'{{"api_key": "{MASK}"}}'),
        ("DB_PASSWORD = 'it\\'s me'", f"DB_PASSWORD = '{MASK}'"),
        ("https://ada:lovelace@host/x", f"https://{MASK}@host/x"),
    ],
)
def test_what_stands_behind_a_telling_word_is_masked(text, clean):
    assert Scrubber().text(text) == clean


@pytest.mark.parametrize(
    "text",
    ["", "the password is kept elsewhere", "password=os.environ['P']", "secret = load()", "a bearer of news",
     "basic understanding of tokens", "sk-learn", "def f(password: str) -> None:", "task-abc-def", "日本"],
)  # fmt: skip
def test_ordinary_text_is_left_alone(text):
    assert Scrubber().text(text) == text
    assert Scrubber().find(text) is None


def test_passing_a_variable_on_is_no_secret():
    assert Scrubber().find("login(password=password)") is None


def test_configured_values_are_masked_longest_first_and_short_ones_not():
    scrub = Scrubber(["s3cr3t-value", "s3cr3t-value-longer", "true", "  padded-secret "])
    assert scrub.text("s3cr3t-value-longer s3cr3t-value true padded-secret") == f"{MASK} {MASK} true {MASK}"
    assert scrub.find("x s3cr3t-value").kind == "configured secret"


def test_json_is_scrubbed_in_strings_keys_and_under_telling_keys():
    value = {
        "user": {"password": "x", "Authorization": "y", "n": 1, "note": ["sk-" + "a" * 20]},
        "sk-" + "b" * 20: None,
    }
    assert Scrubber().json(value) == {
        "user": {"password": MASK, "Authorization": MASK, "n": 1, "note": [MASK]}, MASK: None,
    }  # fmt: skip


def test_half_a_character_becomes_text_that_a_file_can_hold():
    assert Scrubber().text("a\ud800b") == "a\\ud800b"


@given(st.text(max_size=200))
@settings(derandomize=True, max_examples=150, deadline=None)
def test_scrubbing_twice_changes_nothing_more(text):
    scrub = Scrubber(["configured"])
    assert scrub.text(scrub.text(text)) == scrub.text(text)


@pytest.mark.parametrize(
    "piece",
    ["a", "sk-", "eyJ", "password=", 'password="', "-----BEGIN PRIVATE KEY-----", "://a:", "Bearer ", "_-", "secret\\"],
)
@pytest.mark.timeout(20)
def test_megabytes_of_hostile_text_are_scrubbed_in_linear_time(piece):
    Scrubber().text(piece * (1_000_000 // len(piece)))
