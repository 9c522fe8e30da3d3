"""PARAM: anchors learned as convex mixtures of the support set; `losses.py` has the mathematics to read."""
