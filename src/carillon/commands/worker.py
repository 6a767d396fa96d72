"""`carillon worker`."""

import sys

from carillon.commands.options import DataDir


def worker(data_dir: DataDir = None) -> None:
    """Run tasks beside the server of a data folder, until SIGTERM; prints one line when it is ready."""
    import anyio

    from carillon import config
    from carillon.task_worker import work
    from carillon.telemetry import configure_logging, forward_library_logs

    settings = config.load(data_dir)
    configure_logging(settings.server.log_level, settings.server.log_style)
    forward_library_logs()

    def say_ready(server_url: str) -> None:
        sys.stdout.write(f"carillon runs tasks of {server_url} (data in {settings.data_dir})\n")
        sys.stdout.flush()

    anyio.run(work, settings, say_ready, backend_options={"use_uvloop": True})
