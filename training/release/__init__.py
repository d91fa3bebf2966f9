"""Prepare a trained model for publication: card, ONNX export."""
