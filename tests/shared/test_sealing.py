"""Sealed secrets: opened by who sealed them, for what they were sealed for, and by nobody else."""

import pytest

from shared.errors import Conflict, SealBroken
from shared.sealing import Sealer

OLD, NEW = "an old key of thirty-two characters", "a newer key of thirty-two characters"


def test_what_is_sealed_is_opened_for_the_same_context():
    sealed = Sealer([NEW]).seal("sk-cañary", "provider-key:1:openai")

    assert b"ary" not in sealed
    assert Sealer([NEW]).open(sealed, "provider-key:1:openai") == "sk-cañary"


@pytest.mark.parametrize("context", ["provider-key:2:openai", "provider-key:1:other", "variable:1:openai", ""])
def test_what_is_moved_to_another_context_stays_sealed(context):
    sealed = Sealer([NEW]).seal("sk-canary", "provider-key:1:openai")

    with pytest.raises(SealBroken, match="something else"):
        Sealer([NEW]).open(sealed, context)


def test_every_byte_is_guarded():
    sealed = Sealer([NEW]).seal("sk-canary", "here")

    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(SealBroken):
            Sealer([NEW]).open(bytes(changed), "here")
        with pytest.raises(SealBroken):
            Sealer([NEW]).open(sealed[:index], "here")


def test_the_same_secret_is_never_sealed_alike():
    sealer = Sealer([NEW])

    assert len({sealer.seal("sk-canary", "here") for _ in range(50)}) == 50


def test_older_keys_open_and_the_newest_seals():
    sealed = Sealer([OLD]).seal("sk-canary", "here")
    rotated = Sealer([NEW, OLD])

    assert rotated.open(sealed, "here") == "sk-canary"
    assert not rotated.is_current(sealed)
    assert rotated.is_current(rotated.seal("sk-canary", "here"))
    with pytest.raises(SealBroken, match="STRATA_SECRET_KEYS"):
        Sealer([NEW]).open(sealed, "here")


def test_nothing_is_sealed_without_a_key():
    with pytest.raises(Conflict, match="STRATA_SECRET_KEYS is not set"):
        Sealer([]).seal("sk-canary", "here")


def test_a_sealer_shows_no_key():
    assert NEW not in repr(Sealer([NEW]))
