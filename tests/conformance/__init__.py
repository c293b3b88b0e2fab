"""Our port of the OpenID Foundation's conformance modules."""
