"""What names versions is counted, and what was found under a count is not looked up again."""

import pytest

from shared import db, organizations, pipelines
from shared.definition import read
from tests import cursors, factories
from tests.factories import prompt_layer, source

A, B = source(prompt_layer("a")), source(prompt_layer("b"))


@pytest.fixture
def other_organization(database):
    with db.transaction() as connection:
        return organizations.create(connection, "other")


def catalog_version(organization):
    return factories.query("SELECT catalog_version FROM organizations WHERE id = :id", id=organization)[0][0]


def resolve(organization, **options):
    with db.transaction() as connection:
        return pipelines.resolve(connection, organization, "pipeline", "latest", **options)


def published(organization, definition, **options):
    with db.transaction() as connection:
        return pipelines.publish(connection, organization, "pipeline", read(definition), **options)


def tag(organization, name, spec="latest"):
    with db.transaction() as connection:
        return pipelines.tag(connection, organization, "pipeline", name, spec)


def untag(organization, name):
    with db.transaction() as connection:
        pipelines.untag(connection, organization, "pipeline", name)


@pytest.mark.parametrize(
    "change",
    [
        lambda organization: published(organization, source(prompt_layer("c")), draft=True),
        lambda organization: published(organization, source(prompt_layer("c"))),
        lambda organization: published(organization, A),
        lambda organization: tag(organization, "other", "1"),
        lambda organization: tag(organization, "live", "1"),
        lambda organization: untag(organization, "live"),
        lambda organization: factories.change("UPDATE pipelines SET archived_at = now()"),
    ],
)
def test_every_change_of_what_names_a_version_is_counted(organization, publish, change):
    publish(A), publish(B)
    tag(organization, "live")
    before = catalog_version(organization)

    change(organization)

    assert catalog_version(organization) > before


def test_changes_of_others_and_executions_are_not_counted(organization, other_organization, publish):
    publish(A)
    before = catalog_version(organization)

    published(other_organization, B)
    factories.accept(organization)

    assert catalog_version(organization) == before


def test_what_was_found_under_a_catalog_version_is_not_looked_up_again(organization, publish):
    first = publish(A)
    under = catalog_version(organization)
    assert resolve(organization, catalog_version=under) == first

    with cursors.sent_here() as sent:
        assert resolve(organization, catalog_version=under) == first

    assert sent == ["BEGIN", "COMMIT"]


def test_what_was_found_is_of_no_use_once_the_catalog_has_changed(organization, publish):
    publish(A)
    resolve(organization, catalog_version=catalog_version(organization))

    second = publish(B)

    assert resolve(organization, catalog_version=catalog_version(organization)) == second


def test_what_was_found_is_the_organization_s_own(organization, other_organization, publish):
    publish(A)
    published(other_organization, B)
    under = catalog_version(organization)
    resolve(organization, catalog_version=under)

    found = resolve(other_organization, catalog_version=under)

    assert found.plan.properties[0].layers[0].settings["prompt"] == "b"
