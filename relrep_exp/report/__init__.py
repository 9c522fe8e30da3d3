"""Tables, figures and the page, all made from records."""
