"""`carillon serve`."""

import sys
from typing import Annotated

import typer

from carillon.commands.options import DataDir


def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535)] = None,
    tls_cert: Annotated[str | None, typer.Option(help="Certificate to serve https with, PEM.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its private key, PEM.")] = None,
    tls: Annotated[str | None, typer.Option(help="`self-signed` makes a certificate and serves https with it.")] = None,
) -> None:
    """Run the server until SIGTERM; prints one line when it is ready."""
    import gc

    import anyio

    from carillon import config
    from carillon.server.running import held
    from carillon.server.serving import serve as run
    from carillon.server.tls import authorities
    from carillon.telemetry import configure_logging, forward_library_logs

    given = {"host": host, "port": port, "tls_cert": tls_cert, "tls_key": tls_key, "tls": tls}
    settings = config.load(data_dir, {"server": {name: value for name, value in given.items() if value is not None}})
    configure_logging(settings.server.log_level, settings.server.log_style)
    forward_library_logs()

    with held(settings.data_dir) as tell_others:

        def say_ready(own_url: str) -> None:
            public_url = settings.server.public_url or own_url
            # A certificate of the operator's is for the public name, by which then this machine's commands come too.
            told_url = public_url if settings.server.tls_cert else own_url
            bundle = authorities(settings, told_url)
            tell_others(told_url, public_url, bundle)
            said = f"carillon is ready at {public_url} (data in {settings.data_dir})\n"
            if bundle is not None:
                said += f"Clients trust it with AWS_CA_BUNDLE={bundle.absolute()} (carillon env prints it)\n"
            sys.stdout.write(said)  # at once: who waits for the first line may close the pipe after it
            sys.stdout.flush()
            gc.freeze()  # what is there now stays: looking at it again and again takes 3 % of a call

        anyio.run(run, settings, say_ready, backend_options={"use_uvloop": True})
