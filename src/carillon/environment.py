"""The variables that point any AWS SDK at this server."""

from collections.abc import Mapping
from typing import Final

from carillon.config import Settings
from carillon.data_folder import keys_of
from carillon.server.running import reached

SERVED: Final = (
    "CHIME_SDK_MEDIA_PIPELINES",
    "CHIME_SDK_VOICE",
    "KINESIS_VIDEO",
    "KINESIS_VIDEO_MEDIA",
    "KINESIS_VIDEO_ARCHIVED_MEDIA",
)
"""Services whose endpoint is this server; every other service keeps its own."""


def exports(settings: Settings, endpoint: str | None = None) -> Mapping[str, str]:
    """Return the AWS_* variables: credentials, Region, and an endpoint for each API served here.

    Args:
        settings: of the server.
        endpoint: its base URL; None means that of the server that runs on the data folder, else what its settings say.

    Raises:
        NoDataFolder: no server has ever run there.
    """
    key = keys_of(settings.data_dir).default
    base_url, bundle = reached(settings, endpoint)
    return {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_DEFAULT_REGION": settings.account.region,
        "AWS_REGION": settings.account.region,
        **{f"AWS_ENDPOINT_URL_{service}": base_url for service in SERVED},
        **({} if bundle is None else {"AWS_CA_BUNDLE": str(bundle.absolute())}),
    }
