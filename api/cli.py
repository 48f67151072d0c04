"""Commands for operators: `flask --app api.app …`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from api import native
from shared import db, definition, keys, organizations, pipelines, queues, reports, strict_json, strict_yaml
from shared.errors import Fault, Invalid, StrataError

_organization = click.option("--organization", default="default", show_default=True, help="Name of the organization.")


def install(app: Flask) -> None:
    """Add the commands to the application."""
    for group in (_organizations, _keys, _pipelines, _executions):
        app.cli.add_command(group)
    app.cli.add_command(_queues)


class _Group(AppGroup):
    """Tells an error of ours in a line a fault, and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Invalid as error:
            raise click.ClickException(
                "\n".join(f"{fault.field}: {fault.message}" for fault in error.faults)
            ) from error
        except StrataError as error:
            raise click.ClickException(str(error)) from error


_organizations = _Group("organizations", help="Tenants.")
_keys = _Group("keys", help="API keys.")
_pipelines = _Group("pipelines", help="Pipelines and their versions.")
_executions = _Group("executions", help="Executions.")


@_organizations.command("create")
@click.argument("name")
def create_organization(name: str) -> None:
    """Make an organization called NAME."""
    with db.transaction() as connection:
        organizations.create(connection, name)
    click.echo(f"organization {name} created")


@_organizations.command("list")
def list_organizations() -> None:
    """List every organization."""
    with db.autocommit() as connection:
        names = organizations.names(connection)
    click.echo("\n".join(names))


@_keys.command("create")
@_organization
@click.option("--name", default="", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(keys.SCOPES),
    default=("execute", "read"),
    show_default=True,
    help="What the key may do; may be given often. admin may do everything.",
)
@click.option("--expires-in-days", type=click.FloatRange(min=0, min_open=True), help="Days until the key expires.")
def create_key(organization: str, name: str, scopes: tuple[str, ...], expires_in_days: float | None) -> None:
    """Make a key and print it; it is never shown again."""
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    with db.transaction() as connection:
        organization_id = organizations.find(connection, organization)
        key = keys.create(connection, organization_id, name=name, scopes=scopes, expires_at=expires_at)
    click.echo(key)


@_keys.command("list")
@_organization
def list_keys(organization: str) -> None:
    """List the keys of an organization, by their prefixes."""
    with db.autocommit() as connection:
        found = keys.listed(connection, organizations.find(connection, organization))
    for each in found:
        state = "revoked" if each["revoked_at"] else f"expires {each['expires_at'] or 'never'}"
        click.echo(f"{each['prefix']}…  {','.join(each['scopes'])}  {state}  {each['name']}")


@_keys.command("revoke")
@_organization
@click.argument("key")
def revoke_key(organization: str, key: str) -> None:
    """Revoke KEY, named by its prefix in the list or by itself; it is refused from then on."""
    with db.transaction() as connection:
        count = keys.revoke(connection, organizations.find(connection, organization), key)
    click.echo(f"{count} key{'s' if count > 1 else ''} revoked")


@_pipelines.command("push")
@_organization
@click.option("--draft", is_flag=True, help="Publish without making it the latest version.")
@click.option("--tag", help="Point this tag at the version.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def push_pipelines(organization: str, draft: bool, tag: str | None, paths: tuple[Path, ...]) -> None:  # noqa: FBT001
    """Publish the definitions in PATHS: files, or folders of .yaml, .yml and .json files. All of them, or none."""
    found = _read_all(_files(paths))
    lines = []
    with db.transaction() as connection:
        organization_id = organizations.find(connection, organization)
        for path, handle, each in found:
            published = pipelines.publish(connection, organization_id, handle, each, draft=draft)
            version = pipelines.version(connection, published.version_id)
            if tag is not None:
                pipelines.tag(connection, organization_id, handle, tag, str(version.number))
            lines.append(f"{path}: {handle} version {version.number}{'' if published.created else ' (unchanged)'}")
            lines += [f"  warning: {warning}" for warning in published.warnings]
    click.echo("\n".join(lines))


@_pipelines.command("list")
@_organization
def list_pipelines(organization: str) -> None:
    """List the pipelines of an organization with their latest versions."""
    with db.autocommit() as connection:
        found = pipelines.listed(connection, organizations.find(connection, organization), limit=10_000)
    for each in found:
        tags = " ".join(f"{name}={number}" for name, number in sorted(each["tags"].items()))
        click.echo(f"{each['handle']}  version {each['version'] or '(drafts only)'}  {each['uuid']}  {tags}".rstrip())


@_executions.command("show")
@_organization
@click.argument("execution_id", type=int)
def show_execution(organization: str, execution_id: int) -> None:
    """Show the report of an execution by its integer id, with inputs and outputs."""
    with db.autocommit() as connection:
        report = reports.find(connection, organizations.find(connection, organization), execution_id)
    click.echo(json.dumps(native.answer(report), indent=2, ensure_ascii=False))


@click.command("queues", help="Show how the queues are now.")
def _queues() -> None:
    with db.autocommit() as connection:
        for each in queues.now(connection):
            click.echo("  ".join(f"{name} {value}" for name, value in each.items()))


def _files(paths: tuple[Path, ...]) -> list[Path]:
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.suffix in (".yaml", ".yml", ".json")
    ]
    if not files:
        raise click.ClickException("there is no .yaml, .yml or .json file in these paths")
    return files


def _read_all(files: list[Path]) -> list[tuple[Path, str, definition.Definition]]:
    found, faults = [], []
    for path in files:
        try:
            source = _source(path)
            found.append((path, source["handle"], definition.read(source)))
        except Invalid as error:
            faults += [f"{path}: {fault.field}: {fault.message}" for fault in error.faults]
    if faults:
        raise click.ClickException("\n".join(faults))
    return found


def _source(path: Path) -> dict[str, Any]:
    loads = strict_json.loads if path.suffix == ".json" else strict_yaml.loads
    try:
        source = loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Invalid([Fault("body", str(error))]) from error
    if not isinstance(source, dict) or "handle" not in source:
        raise Invalid([Fault("handle", "is required")])
    return source
