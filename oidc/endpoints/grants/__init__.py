"""What is a grant type's own; the phases that all share are in `endpoints/token.py`."""
