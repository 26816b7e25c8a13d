"""The page of checks: its lists of settings are those of the classes."""

import inspect

import pytest

from holdfast import health
from holdfast.health import Check
from tests.project import pages

COMMON = set(inspect.signature(Check).parameters) - {"name"}
TABLES = dict(pages.all_pages()["docs/health-checks.md"].tables("setting", "default"))


@pytest.mark.parametrize("heading", TABLES)
def test_the_settings_of_the_page_are_those_of_the_check(heading):
    name = heading.split("`")[1]
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(getattr(health, name)).parameters.items()
        if key not in COMMON and parameter.kind is not parameter.VAR_POSITIONAL
    }
    rows = {row[0].strip("`"): row[1] for row in TABLES[heading]}
    assert list(rows) == list(parameters)
    for key, parameter in parameters.items():
        pages.check_default(f"{name}: {key}", rows[key], parameter)


def test_the_page_names_every_setting_that_all_checks_have():
    text = pages.all_pages()["docs/health-checks.md"].text
    assert [name for name in COMMON if f"`{name}`" not in text] == []
