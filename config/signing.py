"""Where this deployment's signing keys lie: what `keys.pkcs11_...` becomes."""

from accounts.vault import Vault
from config.sections import KeySettings
from config.settings import SettingsError
from oidc.hardware_keys import HardwareKeys
from oidc.hardware_token import HardwareToken, HardwareUnavailable, TokenAccess
from oidc.key_holder import KeyHolder, SealedKeys


def token_of(keys: KeySettings) -> HardwareToken | None:
    """The token, where one is set. It is not opened yet."""
    if not keys.pkcs11_module:
        return None
    return HardwareToken(TokenAccess(keys.pkcs11_module, keys.pkcs11_token, keys.pkcs11_pin))


def key_holder(token: HardwareToken | None, vault: Vault) -> KeyHolder:
    """In the token where there is one, else sealed in the database."""
    sealed = SealedKeys(vault)
    return sealed if token is None else HardwareKeys(sealed, token)


async def verify_token(token: HardwareToken | None) -> None:
    """Raises `SettingsError` naming the setting that keeps the token from signing."""
    if token is not None:
        try:
            await token.run(lambda session: session.generate_random(64))
        except HardwareUnavailable as error:
            raise SettingsError(f"keys.pkcs11_{error.part}: {error.problem}") from None
