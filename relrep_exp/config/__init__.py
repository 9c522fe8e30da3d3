"""From composed YAML to typed objects."""
