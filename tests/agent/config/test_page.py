"""The page of the configuration lists all keys and all variables, with what they allow."""

from holdfast.agent.config import CollectorSettings
from holdfast.agent.config.allowed import allowed_by
from holdfast.agent.config.environment import variable_of
from holdfast.agent.config.settings import sections
from tests.project import pages

EXAMPLES = ', such as "100ms", "60s" or "5m", or seconds'


def test_the_table_of_the_page_is_that_of_the_model():  # EV-01..09, YK-01..14
    page = pages.all_pages()["docs/configuration.md"]
    ((_, shown),) = page.tables("key in `error_recovery`", "variable")
    expected = []
    for path, field in sections(CollectorSettings):
        if field.description is not None:
            variable = variable_of(field)
            key = ".".join(str(one) for one in path[1:])
            name = f"`{variable.name}`" if variable else ""
            allowed = allowed_by(field).replace(EXAMPLES, "")
            expected.append([f"`{key}`", name, allowed, field.description])
    assert [list(row) for row in shown] == expected
    assert len(expected) == 15
    assert sum(bool(name) for _, name, _, _ in expected) == 9
