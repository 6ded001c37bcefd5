"""Where facts come from: AWS, a snapshot, the example organisation."""
