"""What is known from elsewhere: the model closest to a trained one that meets measured values."""
