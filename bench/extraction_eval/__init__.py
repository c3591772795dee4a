"""Three public data sets of web pages with what is wanted of each, and how answers are scored."""
