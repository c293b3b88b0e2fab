"""The citizen's own pages: home with panels, profile, history.

Only `config/app.py` imports from here, and the pages of the packages above for `page.py`.
"""
