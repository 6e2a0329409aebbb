"""`gitops-run ui`: the sessions of a cluster, in a browser on this machine."""

from __future__ import annotations

from functools import partial

import anyio
import click

from gitops_run.api.viewing import ViewRequest
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.options import cluster_settings, settings_flags
from gitops_run.cli.output import note, print_json_line
from gitops_run.cli.signals import until_interrupted
from gitops_run.errors import UsageError

_EXTRA = frozenset({"htpy", "markupsafe", "prometheus_client", "starlette", "uvicorn"})


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="0 for a free one.")
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAMESPACE",
    help="Only the session of this namespace. Repeatable.",
)
@settings_flags("kubeconfig", "context", "allowContexts")
@json_flag
def ui(port: int, output: str, *, namespaces: tuple[str, ...], **flags: object) -> None:
    """Show the sessions of a cluster in a browser, on this machine and with your own rights."""
    try:
        from gitops_run.web.serve import ServeRequest, serve  # noqa: PLC0415 - an extra, which may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise UsageError(
            f"the page requires packages that are not installed, such as {error.name}",
            hint="install them: pip install 'gitops-run[web]'",
        ) from error
    settings = cluster_settings(flags)
    view = ViewRequest(
        kubeconfig=settings.require("kubeconfig"), context=settings.require("context"), namespaces=namespaces
    )

    def ready(url: str) -> None:
        if output == "json":
            print_json_line({"url": url})
        else:
            click.echo(url)
            note("this link logs one browser in, once and within a minute; Ctrl-C stops the server")

    request = ServeRequest(view=view, port=port)
    anyio.run(partial(until_interrupted, serve, request, this_caller(), ready))
