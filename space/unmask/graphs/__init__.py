"""Hold the networks as ONNX graphs without weights, and run them with the weights of a model's own file."""
