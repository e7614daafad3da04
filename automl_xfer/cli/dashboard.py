"""`automl-xfer dashboard`: Optuna's dashboard on the study database, for this machine only."""

import errno
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click

from automl_xfer.cli.study_options import existing_url, storage_options
from automl_xfer.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = "127.0.0.1"


@click.command("dashboard")
@click.argument("study", required=False)
@storage_options
@click.option("--port", type=click.IntRange(1024, 65535), default=8080, show_default=True)
def dashboard_command(study: str | None, storage: str | None, studies_dir: Path, port: int) -> None:
    """Serve a dashboard of STUDY, or of all studies, to this machine until Ctrl-C."""
    url = existing_url(storage, studies_dir)
    application, path = dashboard_application(url, studies_dir, study)
    with dashboard_server(application, port) as server:
        click.echo(f"The dashboard is at http://{_HOST}:{server.server_port}{path}")
        click.echo("Ctrl-C ends it.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("The dashboard has ended.")


def dashboard_application(
    url: str, studies_dir: Path, study: str | None
) -> tuple["WSGIApplication", str]:
    """The dashboard of the database at `url`, and the path under which `study` is."""
    from optuna_dashboard import wsgi

    from automl_xfer.study.artifacts import StudyArtifacts
    from automl_xfer.study.storage import open_dashboard_storage, storage_errors
    from automl_xfer.study.store import StudyStore

    path = "/dashboard"
    if study is not None:
        StudyStore(url).get_study(study)
    storage = open_dashboard_storage(url)
    with storage_errors(url):
        known = {found.study_name: found._study_id for found in storage.get_all_studies()}
    if study in known:
        path = f"/dashboard/studies/{known[study]}"
    artifacts = StudyArtifacts(studies_dir, study or "dashboard")
    return wsgi(storage, artifact_store=artifacts), path


def dashboard_server(application: "WSGIApplication", port: int) -> WSGIServer:
    """A threaded server on loopback; port 0 takes a free one."""
    try:
        return make_server(_HOST, port, LocalOnly(application), _Server, _QuietHandler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ConfigError(f"port {port} is in use; choose another with --port") from error


class LocalOnly:
    """Answers requests for this machine's own name only.

    The dashboard has delete routes and no password: a page from elsewhere whose name resolves to
    loopback, or that posts here, must get nothing.
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        port = environ["SERVER_PORT"]
        hosts = {f"{name}:{port}" for name in (_HOST, "localhost")}
        origin = environ.get("HTTP_ORIGIN")
        if environ.get("HTTP_HOST") not in hosts or (
            origin is not None and origin.removeprefix("http://") not in hosts
        ):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This dashboard answers to 127.0.0.1 and localhost only.\n"]
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")  # the dashboard fails without it
        return self._application(environ, start_response)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the dashboard asks every few seconds."""
