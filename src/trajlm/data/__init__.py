"""The nouns that are passed from stage to stage: Features and States."""

from trajlm.data.features import Features, FeaturesLike
from trajlm.data.given import as_features, as_states, as_trajectory
from trajlm.data.states import AS_GIVEN, States, StatesLike, StateSpace, smallest_unsigned

__all__ = [
    "AS_GIVEN",
    "Features",
    "FeaturesLike",
    "StateSpace",
    "States",
    "StatesLike",
    "as_features",
    "as_states",
    "as_trajectory",
    "smallest_unsigned",
]
