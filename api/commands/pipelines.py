"""`pipelines`: publish from files, and list."""

from pathlib import Path
from typing import Any

import click

from api import cli
from shared import db, definition, organizations, pipelines, strict_json, strict_yaml
from shared.errors import Fault, Invalid

command = cli.Group("pipelines", help="Pipelines and their versions.")


@command.command("push")
@cli.organization_option
@click.option("--draft", is_flag=True, help="Publish without making it the latest version.")
@click.option("--tag", help="Point this tag at the version.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def push(organization: str, draft: bool, tag: str | None, paths: tuple[Path, ...]) -> None:  # noqa: FBT001
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
    click.echo("\n".join(cli.printable(line) for line in lines))


@command.command("list")
@cli.organization_option
def list_pipelines(organization: str) -> None:
    """List the pipelines of an organization with their latest versions."""
    with db.autocommit() as connection:
        found = pipelines.listed(connection, organizations.find(connection, organization), limit=10_000)
    for each in found:
        tags = " ".join(f"{name}={number}" for name, number in sorted(each["tags"].items()))
        line = f"{each['handle']}  version {each['version'] or '(drafts only)'}  {each['uuid']}  {tags}".rstrip()
        click.echo(cli.printable(line))


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
