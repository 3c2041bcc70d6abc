"""What a model is: features, network, confidence, and the folder that it lives in."""
