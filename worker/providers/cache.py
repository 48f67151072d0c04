"""Answers that are kept: looked up before a model is asked, written down once they have proved good.

Two that ask the same at once both ask the model; nobody waits for another's answer.
"""

from shared import db, kept_answers, strict_json
from shared.errors import Unavailable
from shared.outside import Question
from shared.plan import Answer
from shared.providers import Target
from worker.providers import chat

#: What the report says of an answer that was kept.
CACHED = "cached"


def find(question: Question, target: Target, organization_id: int) -> str | None:
    """The answer that the organization has had to this question, if it wants one and it is still kept."""
    if question.cache_seconds is None:
        return None
    try:
        with db.autocommit() as connection:
            return kept_answers.find(connection, organization_id, _name(question, target))
    except Unavailable:
        # The model can be asked all the same.
        return None


def keep(question: Question, target: Target, answer: Answer, organization_id: int, *, at_most_seconds: float) -> None:
    """Keep an answer of this target, unless it was kept before or Postgres is away."""
    if question.cache_seconds is None or answer.details.get(CACHED):
        return
    try:
        with db.autocommit() as connection:
            kept_answers.keep(
                connection,
                organization_id,
                _name(question, target),
                model=target.name,
                answer=strict_json.clean(answer.output),
                seconds=min(question.cache_seconds, at_most_seconds),
            )
    except Unavailable:
        return


def _name(question: Question, target: Target) -> bytes:
    return kept_answers.name(target.name, chat.body(question, target, target.max_tokens(question.max_tokens)))
