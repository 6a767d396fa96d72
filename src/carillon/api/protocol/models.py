"""The service models that ship inside botocore: the only description of the APIs that we follow."""

from functools import cache

import botocore.loaders
import botocore.model

from carillon.api.errors import Family


class Model:
    """One service model, with the few facts about a whole service that we ask for."""

    def __init__(self, name: str) -> None:
        # Not the default search path: a file in somebody's ~/.aws/models must not change what we serve.
        loader = botocore.loaders.Loader(
            [botocore.loaders.Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
        )
        self._model = botocore.model.ServiceModel(loader.load_service_model(name, "service-2"), name)
        self.name = name
        self.signing_name: str = self._model.signing_name
        self.family = Family(self.signing_name)
        self.operation_names: tuple[str, ...] = tuple(self._model.operation_names)
        self.error_statuses: dict[str, int] = {
            shape.name: shape.metadata["error"]["httpStatusCode"] for shape in self._model.error_shapes
        }

    def operation(self, name: str) -> botocore.model.OperationModel:
        """Return one operation's model.

        Raises:
            ValueError: the service has no such operation.
        """
        if name not in self.operation_names:
            raise ValueError(f"{self.name} has no operation {name}; see botocore's model of it.")
        return self._model.operation_model(name)


@cache
def load(name: str) -> Model:
    """Return the model of a service by botocore's name for it; read once a process.

    Raises:
        botocore.exceptions.UnknownServiceError: botocore ships no such service.
    """
    return Model(name)
