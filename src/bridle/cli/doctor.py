"""`bridle doctor`: what this machine has and lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_EXTRAS = {
    "datasets": "data sets from the hub: pip install 'bridle[hub]'",
    "trl": "the peer of the benchmarks: pip install 'bridle[peer]'",
}
"""Optional packages, and what they are for."""


def doctor(store: Annotated[Path | None, typer.Option(help="Folder of the artifact store.")] = None) -> None:
    """Say what this machine has: versions, cores, memory, GPUs, shipped models, the store, optional packages.

    Example: bridle doctor
    """
    import importlib.util
    import os
    import shutil

    import psutil
    import torch

    from bridle.lab.manifest import versions
    from bridle.lab.store import Store
    from bridle.tinyworld.recipes import shipped_names

    place = Store(store)
    there = next(parent for parent in (place.root, *place.root.parents) if parent.exists())
    free, memory = shutil.disk_usage(there).free, psutil.virtual_memory()
    typer.echo("versions: " + ", ".join(f"{name} {number}" for name, number in versions().items()))
    typer.echo(
        f"cores: {len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, 'cpu_affinity') else os.cpu_count()}"
    )
    typer.echo(f"memory: {memory.total / 2**30:.0f} GiB, {memory.available / 2**30:.0f} GiB free")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            typer.echo(f"GPU {index}: {card.name}, {card.total_memory / 2**30:.0f} GiB")
    else:
        typer.echo("GPU: none that torch sees; the tiny world needs none")
    typer.echo(f"shipped models: {', '.join(shipped_names()) or 'none'}")
    writable = os.access(there, os.W_OK)
    typer.echo(
        f"store: {place.root} ({'writable' if writable else 'NOT writable: use --store or BRIDLE_HOME'}, {free / 2**30:.0f} GiB free)"
    )
    for package, purpose in _EXTRAS.items():
        typer.echo(f"{package}: {'there' if importlib.util.find_spec(package) else f'missing; {purpose}'}")
