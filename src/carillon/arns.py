"""Amazon Resource Names: parse, check, build."""

from dataclasses import dataclass
from typing import Annotated, Self

from msgspec import Meta

from carillon.errors import InvalidRequest

Region = Annotated[str, Meta(pattern=r"^[a-z]{2,}(-[a-z0-9]+)+\Z", description="a Region, such as eu-west-1")]
AccountId = Annotated[str, Meta(pattern=r"^[0-9]{12}\Z", description="12 digits")]


class MalformedArn(InvalidRequest):
    """A string that should be an ARN is not one."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:200]!r} is not an ARN; expected arn:aws:service:region:account:resource.")


@dataclass(frozen=True, slots=True)
class Arn:
    """arn:partition:service:region:account:resource, where resource is often kind/name."""

    service: str
    region: str
    account: str
    resource: str
    partition: str = "aws"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split an ARN into its parts.

        Raises:
            MalformedArn: fewer than six parts, a wrong prefix, or no service or resource.
        """
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]):
            raise MalformedArn(text)
        return cls(partition=parts[1], service=parts[2], region=parts[3], account=parts[4], resource=parts[5])

    @property
    def kind(self) -> str:
        """Return what stands before the first slash of the resource: `stream`, `media-pipeline`."""
        return self.resource.partition("/")[0]

    @property
    def name(self) -> str:
        """Return what stands after the first slash of the resource, empty if there is none."""
        return self.resource.partition("/")[2]

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """The Region and account in every ARN that this server makes."""

    region: Region = "us-east-1"
    """Region of every ARN, and the one that requests must be signed for."""
    id: AccountId = "111122223333"
    """Account of every ARN, 12 digits."""

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of ours."""
        return str(Arn(service=service, region=self.region, account=self.id, resource=resource))

    def owns(self, arn: Arn) -> bool:
        """Return whether an ARN is of this Region and account."""
        return arn.region == self.region and arn.account == self.id
