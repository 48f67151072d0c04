from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from shared import db, organizations, pipelines
from shared.definition import read
from shared.errors import Conflict, Invalid, NotFound
from tests import factories
from tests.factories import NOBODY, prompt_layer, source

A, B = source(prompt_layer("a")), source(prompt_layer("b"))


@pytest.fixture
def other_organization(database):
    with db.transaction() as connection:
        return organizations.create(connection, "other")


def publish_draft(organization, definition):
    with db.transaction() as connection:
        published = pipelines.publish(connection, organization, "pipeline", read(definition), draft=True)
        return pipelines.version(connection, published.version_id)


def resolve(organization, pipeline="pipeline", spec="latest", **options):
    with db.transaction() as connection:
        return pipelines.resolve(connection, organization, pipeline, spec, **options)


def tag(organization, name, spec="latest"):
    with db.transaction() as connection:
        return pipelines.tag(connection, organization, "pipeline", name, spec)


def test_the_same_definition_twice_is_one_version(organization, publish):
    assert publish(A) == publish(dict(reversed(A.items())))


def test_another_definition_is_the_next_version(publish):
    assert [publish(A).number, publish(B).number] == [1, 2]


def test_publishing_tells_whether_a_version_is_new(organization):
    with db.transaction() as connection:
        created = [pipelines.publish(connection, organization, "p", read(each)).created for each in (A, B, A)]

    assert created == [True, True, False]


def test_an_old_definition_that_is_published_again_is_the_latest_again(organization, publish):
    first, second = publish(A), publish(B)
    assert resolve(organization) == second

    publish(A)

    assert resolve(organization) == first


def test_publishing_the_latest_again_leaves_its_time(organization, publish):
    version = publish(A)
    before = factories.query("SELECT published_at FROM versions")

    publish(A)

    assert (factories.query("SELECT published_at FROM versions"), resolve(organization)) == (before, version)


def test_a_draft_is_never_the_latest(organization, publish):
    first = publish(A)

    draft = publish_draft(organization, B)

    assert (resolve(organization), resolve(organization, spec=str(draft.number))) == (first, draft)


def test_a_pipeline_of_drafts_has_no_latest_version(organization):
    publish_draft(organization, A)

    with pytest.raises(NotFound, match="version"):
        resolve(organization)


@pytest.mark.parametrize("named", ["number", "uuid", "tag"])
def test_a_draft_is_no_version_for_who_wants_none(organization, publish, named):
    publish(A)
    draft = publish_draft(organization, B)
    tag(organization, "next", str(draft.number))
    spec = {"number": str(draft.number), "uuid": str(draft.uuid), "tag": "next"}[named]

    with pytest.raises(NotFound, match="version"):
        resolve(organization, spec=spec, drafts=False)

    assert resolve(organization, spec="1", drafts=False).number == 1


def test_a_draft_that_is_published_is_the_same_version(organization, publish):
    draft = publish_draft(organization, A)

    assert (publish(A), resolve(organization)) == (draft, draft)


def test_a_published_version_does_not_become_a_draft_again(organization, publish):
    first = publish(A)

    publish_draft(organization, A)

    assert resolve(organization) == first


@pytest.mark.parametrize("name", ["handle", "pipeline_uuid", "pipeline_id"])
@pytest.mark.parametrize("spec", ["latest", "__latest__", "1", "uuid", "production"])
def test_a_version_is_found_by_every_name_it_has(organization, publish, name, spec):
    version = publish(A)
    tag(organization, "production")

    found = resolve(organization, str(getattr(version, name)), str(version.uuid) if spec == "uuid" else spec)

    assert found == version


@pytest.mark.parametrize(
    ("pipeline", "spec", "noun"),
    [
        ("nobody", "latest", "pipeline"),
        ("", "latest", "pipeline"),
        ("PIPELINE", "latest", "pipeline"),
        ("pipeline\n", "latest", "pipeline"),
        ("pipe\x00line", "latest", "pipeline"),
        ("\ud800", "latest", "pipeline"),
        ("9" * 30, "latest", "pipeline"),
        ("٣", "latest", "pipeline"),
        (NOBODY, "latest", "pipeline"),
        ("pipeline", "2", "version"),
        ("pipeline", "0", "version"),
        ("pipeline", "9" * 30, "version"),
        ("pipeline", "production", "version"),
        ("pipeline", "", "version"),
        ("pipeline", "\x00", "version"),
        ("pipeline", "\udfff", "version"),
        ("pipeline", NOBODY, "version"),
    ],
)
def test_what_is_not_there_is_not_found(organization, publish, pipeline, spec, noun):
    publish(A)

    with pytest.raises(NotFound) as caught:
        resolve(organization, pipeline, spec)

    assert caught.value.noun == noun


@pytest.mark.parametrize("name", ["handle", "pipeline_uuid", "pipeline_id"])
def test_another_organization_s_pipeline_is_not_found(publish, other_organization, name):
    version = publish(A)

    with pytest.raises(NotFound):
        resolve(other_organization, str(getattr(version, name)))


def test_two_organizations_may_use_the_same_handle(organization, other_organization, publish):
    first = publish(A)
    with db.transaction() as connection:
        second = pipelines.publish(connection, other_organization, "pipeline", read(A))

    assert resolve(other_organization).id == second.version_id != first.id


def test_another_pipeline_s_version_is_not_found_by_its_uuid(organization, publish):
    publish(A)
    other = publish(B, handle="other")

    with pytest.raises(NotFound, match="version"):
        resolve(organization, spec=str(other.uuid))


def test_a_tag_moves(organization, publish):
    first, second = publish(A), publish(B)
    tag(organization, "production", "1")
    assert resolve(organization, spec="production") == first

    tag(organization, "production", "2")

    assert resolve(organization, spec="production") == second


def test_a_tag_stays_where_it_is_when_a_version_is_published(organization, publish):
    first = publish(A)
    tag(organization, "production")

    publish(B)

    assert resolve(organization, spec="production") == first


def test_a_tag_may_point_at_another_tag_s_version(organization, publish):
    version = publish(A)
    tag(organization, "staging")

    assert tag(organization, "production", "staging") == version


@pytest.mark.parametrize(
    "name",
    ["", "1", "12a", "latest", "__latest__", "executions", "a b", "a/b", "prod\n", "é", "\x00", "x" * 64, "-a", ".a"],
)
def test_a_name_that_cannot_be_a_tag_is_refused(organization, publish, name):
    publish(A)

    with pytest.raises(Invalid):
        tag(organization, name)


def test_a_tag_that_is_taken_away_is_gone(organization, publish):
    publish(A)
    tag(organization, "production")
    with db.transaction() as connection:
        pipelines.untag(connection, organization, "pipeline", "production")

    with pytest.raises(NotFound, match="version"):
        resolve(organization, spec="production")


def test_a_tag_that_is_not_there_cannot_be_taken_away(organization, publish):
    publish(A)

    with pytest.raises(NotFound, match="tag"), db.transaction() as connection:
        pipelines.untag(connection, organization, "pipeline", "production")


def test_an_archived_pipeline_is_neither_found_nor_published_again(organization, publish):
    publish(A)
    factories.change("UPDATE pipelines SET archived_at = now()")

    with pytest.raises(NotFound):
        resolve(organization)
    with pytest.raises(Conflict):
        publish(B)


def test_every_node_has_an_id_of_its_own(organization, publish):
    versions = [publish(A), publish(B)]

    ids = [each.id for version in versions for found in version.plan.properties for each in (found, *found.layers)]

    assert len(set(ids)) == len(ids) == 4


def test_what_was_published_is_described(organization, publish):
    version = publish({**A, "handle": "pipeline"})
    tag(organization, "production")

    with db.transaction() as connection:
        described = pipelines.described(connection, version)

    assert (described["version"], described["tags"], described["draft"]) == (1, ["production"], False)
    assert described["definition"] == A


def test_pipelines_are_listed_by_handle_page_by_page(organization, publish):
    for handle in ("b", "a", "c"):
        publish(A, handle=handle)

    with db.transaction() as connection:
        pages = [pipelines.listed(connection, organization, after=after, limit=2) for after in ("", "b")]

    assert [[each["handle"] for each in page] for page in pages] == [["a", "b"], ["c"]]


def test_eight_publishers_at_once_make_one_version(organization):
    barrier = Barrier(8)

    def publish(_):
        barrier.wait()
        with db.transaction() as connection:
            return pipelines.publish(connection, organization, "pipeline", read(A)).version_id

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(publish, range(8)))

    assert len(found) == 1


def test_eight_publishers_of_other_definitions_make_a_version_each(organization):
    barrier = Barrier(8)

    def publish(number):
        barrier.wait()
        with db.transaction() as connection:
            found = read(source(prompt_layer(str(number))))
            published = pipelines.publish(connection, organization, "pipeline", found)
            return pipelines.version(connection, published.version_id).number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(publish, range(8))) == list(range(1, 9))
