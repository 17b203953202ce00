"""The language model: weights, generation, the model, its training and its estimator."""
