"""Models of state sequences: the language model, Markov and hidden Markov models."""
