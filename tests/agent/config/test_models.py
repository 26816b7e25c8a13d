"""Models of any program: every type that a file can hold as text, however the field is written."""

import datetime
import decimal
import enum
import ipaddress
import os
import pathlib
import uuid
from typing import Annotated, Optional

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr

import holdfast as hf
from holdfast.agent.config import Env, Seconds, Settings, load


class Colour(enum.Enum):
    RED = "red"
    FIVE = "5"


class Item(Settings):
    name: str = ""
    count: int = 0


class Typed(Settings):
    path: Annotated[pathlib.Path | None, Env("T_PATH")] = None
    colour: Annotated[Colour | None, Env("T_COLOUR")] = None
    names: Annotated[tuple[str, ...], Env("T_NAMES")] = ()
    ports: Annotated[set[int], Env("T_PORTS")] = Field(default_factory=set)
    day: Annotated[datetime.date | None, Env("T_DAY")] = None
    price: Annotated[decimal.Decimal | None, Env("T_PRICE")] = None
    key: Annotated[uuid.UUID | None, Env("T_KEY")] = None
    host: Annotated[ipaddress.IPv4Address | None, Env("T_HOST")] = None
    text: str = ""
    items: list[Item] = Field(default_factory=list)
    named: dict[str, Item] = Field(default_factory=dict)


TEXTS = {
    "path": ("/run/shop", pathlib.Path("/run/shop")),
    "colour": ("'5'", Colour.FIVE),
    "names": ("[a, b]", ("a", "b")),
    "ports": ("[80, 80, 443]", {80, 443}),
    "day": ("2026-11-30", datetime.date(2026, 11, 30)),
    "price": ("0.10", decimal.Decimal("0.1")),
    "key": ("'00000000-0000-0000-0000-000000000007'", uuid.UUID(int=7)),
    "host": ("127.0.0.1", ipaddress.IPv4Address("127.0.0.1")),
}


def told(model, text="", suffix=".yaml", *, tmp_path, **environ):
    file = tmp_path / f"s{suffix}"
    file.write_text(text)
    with pytest.raises(hf.ConfigError) as caught:
        load(model, file, environ=environ)
    return [one.replace(str(file), "FILE") for one in caught.value.problems]


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_and_a_variable_set_every_type_that_is_written_as_text(tmp_path, name):
    text, value = TEXTS[name]
    file = tmp_path / "s.yaml"
    file.write_text(f"{name}: {text}\n")
    assert getattr(load(Typed, file, environ={}), name) == value
    word = text.strip("[]'").replace(" ", "")
    assert getattr(load(Typed, environ={f"T_{name.upper()}": word}), name) == value


def test_what_is_none_of_such_a_type_is_refused_in_words(tmp_path):
    text = "colour: blue\nports: 80\nnamed: [a]\nitems:\n  - {count: x}\n  - {z: 1}\n"
    assert told(Typed, text, tmp_path=tmp_path) == [
        "FILE:1:9: colour: got 'blue', allowed one of 'red', '5'",
        "FILE:2:8: ports: got 80, allowed a list",
        "FILE:3:8: named: got a list of 1 item, allowed keys with values",
        "FILE:5:13: items[0].count: got 'x', allowed an integer",
        "FILE:6:6: items[1].z: got the key 'z', allowed a key that exists; there are name, count",
    ]


def test_a_date_of_toml_is_a_date_and_no_text(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("day = 2026-11-30\npath = '/x'\n")
    assert load(Typed, file, environ={}).day == datetime.date(2026, 11, 30)
    (said,) = told(Typed, "text = 2026-11-30\npath = '/x'\n", ".toml", tmp_path=tmp_path)
    assert said == "FILE:1:8: text: got datetime.date(2026, 11, 30), allowed text"


def test_what_utf_8_cannot_write_is_refused(tmp_path):
    text = 'text: "\\ud800"\n"\\udfff": 1\n'
    assert told(Typed, text, tmp_path=tmp_path, T_PATH="/\udcff") == [
        "FILE:1:7: text: got '\\ud800', allowed text that can be written in UTF-8",
        "FILE:2:1: a key is not text that can be written in UTF-8",
        "environment variable T_PATH: got '/\\udcff', allowed text that can be written in UTF-8",
    ]


# ---- how a field is written ----


class Within(Settings):
    token: Annotated[SecretStr, Env("W_TOKEN")] | None = None
    count: Optional[Annotated[int, Field(ge=1, le=9), Env("W_COUNT")]] = None  # noqa: UP045
    pause: Annotated[float, Seconds(most_ns=60 * 10**9), Env("W_PAUSE")] | None = None


def test_a_variable_is_read_where_the_field_may_be_none_outside_of_its_annotation(tmp_path):
    environ = {"W_TOKEN": "s3cret", "W_COUNT": "5", "W_PAUSE": "5s"}
    settings = load(Within, environ=environ)
    assert settings.token is not None
    assert (settings.token.get_secret_value(), settings.count, settings.pause) == ("s3cret", 5, 5.0)
    (said,) = told(Within, tmp_path=tmp_path, W_COUNT="50")
    assert said == "environment variable W_COUNT: got 50, allowed an integer from 1 to 9"


def test_a_key_may_have_another_name_than_its_field(tmp_path):
    class Renamed(Settings):
        count: Annotated[int, Env("R_COUNT")] = Field(1, validation_alias="biggest")

    file = tmp_path / "s.yaml"
    file.write_text("biggest: 3\n")
    assert load(Renamed, file, environ={}).count == 3
    assert load(Renamed, file, environ={"R_COUNT": "4"}).count == 4
    (said,) = told(Renamed, "count: 3", tmp_path=tmp_path)
    assert said.endswith("got the key 'count', allowed a key that exists; there are biggest")
    with pytest.raises(TypeError, match=r"Several\.count: validation_alias has to be a text"):

        class Several(Settings):
            count: int = Field(1, validation_alias=AliasChoices("a", "b"))


# ---- what would be taken for something else ----


@pytest.mark.parametrize("text", ['["a", "b"]', "[]", "a,,b", "a,", ","])
def test_a_list_in_a_variable_is_neither_json_nor_has_it_empty_items(tmp_path, text):
    (said,) = told(Typed, tmp_path=tmp_path, T_NAMES=text)
    assert said == (
        f"environment variable T_NAMES: got {text!r}, allowed items separated by commas,"
        " such as 'a,b'"
    )


@pytest.mark.parametrize("text", ["2 min", "9999999 days"])
def test_only_a_duration_that_is_allowed_is_suggested(tmp_path, text):
    (said,) = told(Within, f"pause: {text}", tmp_path=tmp_path)
    assert "did you mean" not in said


def test_a_file_may_be_named_in_bytes(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("text: a\n")
    assert load(Typed, os.fsencode(file), environ={}).text == "a"


@pytest.mark.parametrize("model", [dict, BaseModel, Settings(), "Settings", None])
def test_only_a_class_of_settings_can_be_loaded(model):
    with pytest.raises(TypeError, match=r"load: model: got .*, allowed a class derived from Sett"):
        load(model, environ={})
