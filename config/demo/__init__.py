"""What is for trying out and for tests only: test people, sample services, an inbox, the simulator and its control.

Nothing of it runs in production; whatever reads people from a file refuses to.
"""
