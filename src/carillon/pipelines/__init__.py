"""What may be listened to: insights pipeline configurations, the pipelines made from them, their states.

A task names its audio by pipeline, stream ARN and channel. `Pipelines.leg` turns that into one `Leg`; from there on
nobody knows which request asked for it. This room does not read audio and does not know what a task is. Start reading
at `model.py`, then `states.py`.
"""

from carillon.pipelines.configurations import (
    Configuration,
    ConfigurationInUse,
    ConfigurationNameTaken,
    ConfigurationNotFound,
    Configurations,
    ForeignConfiguration,
)
from carillon.pipelines.elements import BrokenRule, Element, ElementKind, Elements
from carillon.pipelines.model import (
    ChannelNotDeclared,
    FeatureDisabled,
    Leg,
    NewPipeline,
    Pipeline,
    Role,
    SourceRequest,
    StreamSource,
)
from carillon.pipelines.pipelines import (
    PipelineNotFound,
    Pipelines,
    PipelineSettings,
    StreamDirectory,
    StreamUnknown,
    find_kept,
)
from carillon.pipelines.states import ACTIVE, PipelineState, WrongPipelineState
from carillon.pipelines.tables import is_visible

__all__ = [
    "ACTIVE",
    "BrokenRule",
    "ChannelNotDeclared",
    "Configuration",
    "ConfigurationInUse",
    "ConfigurationNameTaken",
    "ConfigurationNotFound",
    "Configurations",
    "Element",
    "ElementKind",
    "Elements",
    "FeatureDisabled",
    "ForeignConfiguration",
    "Leg",
    "NewPipeline",
    "Pipeline",
    "PipelineNotFound",
    "PipelineSettings",
    "PipelineState",
    "Pipelines",
    "Role",
    "SourceRequest",
    "StreamDirectory",
    "StreamSource",
    "StreamUnknown",
    "WrongPipelineState",
    "find_kept",
    "is_visible",
]
