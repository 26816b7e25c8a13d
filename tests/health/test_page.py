"""The page of checks: its lists of settings are those of the classes."""

import inspect
from typing import Any

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


def test_the_routes_of_the_recipe_answer_probes(require_real):  # HC-15
    try:
        from fastapi.testclient import TestClient
    except ImportError as error:
        return require_real(f"no test client: {error}")
    recipe: dict[str, Any] = {}
    exec(pages.all_pages()["docs/recipes/probes.md"].program("python"), recipe)
    with TestClient(recipe["app"]) as client:
        recipe["monitor"].check_now()
        ready, live = client.get("/readyz"), client.get("/livez")
    assert (ready.status_code, ready.json()["status"]) == (200, "unhealthy")  # the mail
    assert live.json() == {"live": True}
    with TestClient(recipe["app"]) as client:
        recipe["monitor"].remove("database")
        recipe["monitor"].add(health.PingCheck("database", lambda: False))
        recipe["monitor"].check_now()
        assert client.get("/readyz").status_code == 503
    return None
