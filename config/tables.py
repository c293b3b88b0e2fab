"""Every table of the house, gathered so that migrations and tests see the whole."""

import pkgutil
from importlib import import_module

import accounts
import identity
import oidc
from accounts.database import Base

for _package in (accounts, identity, oidc):
    for _module in pkgutil.iter_modules(_package.__path__, f"{_package.__name__}."):
        if not _module.ispkg:
            import_module(_module.name)

metadata = Base.metadata
