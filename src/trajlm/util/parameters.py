"""Parameters of estimators, read and set as scikit-learn and deeptime do."""

from __future__ import annotations

import inspect
from typing import Any, Self

from trajlm.errors import InputError


class Parameters:
    """An estimator whose parameters are the arguments of its constructor, kept as they were given.

    That is all that ``sklearn.base.clone`` and a search over parameters need.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; `deep` is there for scikit-learn and changes nothing."""
        names = list(inspect.signature(type(self)).parameters)
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Change some parameters; what was fitted before is forgotten.

        Raises
        ------
        InputError
            A parameter that does not exist, or a value that does not fit; nothing is changed.
        """
        known = self.get_params()
        for name in params.keys() - known.keys():
            raise InputError(
                f"{type(self).__name__} has no parameter {name!r}: it has {', '.join(known)}"
            )
        changed = type(self)(**{**known, **params})
        vars(self).clear()
        vars(self).update(vars(changed))
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        said = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(said)})"
