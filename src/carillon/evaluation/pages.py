"""Pages that can be sent to somebody: one file, light or dark as its reader likes it, and nothing to fetch.

What it says is made in Python; how it looks stands in `templates/`. They escape all that they are given, so a name or a
word never becomes part of a page's HTML.
"""

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from carillon.inference import NotInstalled

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGES: Final = ("jinja2", "matplotlib")


def require_pages(what: str) -> None:
    """Refuse to make pages, before anything is measured for them, where what that needs is not installed.

    Args:
        what: that makes pages, for the message.

    Raises:
        NotInstalled: says what to install.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise NotInstalled(what, package, "evaluation")


def render(template: str, values: dict[str, Any], package: str = "carillon.evaluation") -> str:
    """Return a page.

    Args:
        template: a file in the `templates` of a package, or in ours.
        values: what it shows.
        package: whose templates come first.
    """
    return _environment(package).get_template(template).render(values)


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loaders = [PackageLoader(package), PackageLoader("carillon.evaluation")]
    return Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
