"""The provider's HTTP edge: read the request, call one verb, choose the answer. Imported by `config.app` alone."""
