"""Everything that is trained by gradient descent, as LightningModules."""
