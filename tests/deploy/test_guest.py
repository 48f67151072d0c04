"""Which databases the demo may use."""

import pytest

from deploy.local import guest
from deploy.local.errors import LocalError
from tests import factories

HANDLES = frozenset({"pipeline"})


def test_a_database_that_only_demos_have_used_is_good(settings, publish):
    publish(factories.source())

    guest.check(settings.database_url, HANDLES)


def test_a_database_with_pipelines_of_others_is_refused(settings, publish):
    publish(factories.source(), handle="payroll")

    with pytest.raises(LocalError, match="holds work that is not the demo's"):
        guest.check(settings.database_url, HANDLES)


def test_a_database_with_work_under_way_is_refused(settings, organization, publish):
    publish(factories.source())
    factories.accept(organization)

    with pytest.raises(LocalError, match="holds work that is not the demo's"):
        guest.check(settings.database_url, HANDLES)
