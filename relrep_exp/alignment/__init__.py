"""The mathematics: pure functions and small classes on [N, d] tensors. Imports nothing else of ours."""
