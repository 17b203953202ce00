"""Running the language model freely, on processors and GPUs."""
