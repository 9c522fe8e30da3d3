"""PARAM: anchors learned as convex mixtures of the support set."""
