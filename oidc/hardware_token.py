"""A PKCS #11 token: one thread of this process speaks to it, over one session that is opened again when it was lost.

The library is started without locks of its own, which allows one thread (PKCS #11 section 5.4, C_Initialize); that
thread waits for the token while everything else goes on.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from accounts.errors import Refusal

if TYPE_CHECKING:
    from pkcs11 import Session

Part = Literal["module", "token", "pin"]
T = TypeVar("T")

PATIENCE = 5.0
"""Seconds for a signature, the wait for its turn included."""

_THREAD = ThreadPoolExecutor(1, "pkcs11")


class TokenAccess(msgspec.Struct, frozen=True):
    """Which library, which token by its label, and its user's PIN."""

    module: str
    token: str
    pin: str


class HardwareUnavailable(Refusal):
    """The token does not do what is asked; nothing is signed by other means (R75). `part` says what to look at."""

    def __init__(self, part: Part, problem: str) -> None:
        super().__init__("hardware_token_unavailable", status=503, detail=f"{part}: {problem}", retry_after=5)
        self.part = part
        self.problem = problem


class HardwareToken:
    """One token. Every method may be called at any time; what is asked is done one after the other."""

    def __init__(self, access: TokenAccess) -> None:
        self.label = access.token
        self._access = access
        self._session: Session | None = None
        self._refused: HardwareUnavailable | None = None
        self._is_lost = False
        self._is_asked = False

    async def ready(self) -> None:
        """Nothing while all is well. After a failure one caller at a time tries again, and all others are refused at
        once instead of waiting. Raises HardwareUnavailable."""
        if not self._is_lost:
            return
        if self._is_asked:
            raise HardwareUnavailable("token", "does not answer")
        self._is_asked = True
        try:
            await self.run(lambda session: session.generate_random(64))
        finally:
            self._is_asked = False

    async def run(self, work: Callable[["Session"], T], patience: float = PATIENCE) -> T:
        """What the work returns, done in the token's thread. Raises HardwareUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            done = await asyncio.wait_for(loop.run_in_executor(_THREAD, self._done, work), patience)
        except TimeoutError:
            self._is_lost = True
            raise HardwareUnavailable("token", f"has not answered for {patience:.0f} seconds") from None
        except HardwareUnavailable:
            self._is_lost = True
            raise
        self._is_lost = False
        return done

    def _done(self, work: Callable[["Session"], T]) -> T:
        library = self._library()
        from pkcs11 import NoSuchKey, PKCS11Error

        failed: HardwareUnavailable | None = None
        # A session can be lost, and with it the library's idea of what tokens there are.
        for begin_anew in (lambda: None, self._drop, library.reinitialize):
            try:
                begin_anew()
                if self._session is None:
                    self._session = self._opened(library)
                return work(self._session)
            except NoSuchKey:
                raise HardwareUnavailable("token", "holds no such key") from None
            except HardwareUnavailable as error:
                if error is self._refused:
                    raise
                failed = error
            except PKCS11Error as error:
                failed = HardwareUnavailable("token", f"does not answer ({type(error).__name__})")
            self._drop()
        raise failed or HardwareUnavailable("token", "does not answer")

    def _library(self) -> Any:
        try:
            import pkcs11
        except ImportError:
            raise HardwareUnavailable("module", "needs the package python-pkcs11 (the extra `hsm`)") from None
        try:
            return pkcs11.lib(self._access.module)
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            raise HardwareUnavailable("module", f"cannot be loaded ({error})") from None

    def _opened(self, library: Any) -> "Session":
        import pkcs11

        if self._refused is not None:
            raise self._refused
        try:
            token = library.get_token(token_label=self.label)
        except pkcs11.NoSuchToken:
            labels = ", ".join(sorted({token.label for token in library.get_tokens()} - {""}))
            raise HardwareUnavailable("token", f"there is no {self.label!r}; there are: {labels or 'none'}") from None
        except pkcs11.MultipleTokensReturned:
            raise HardwareUnavailable("token", f"more than one is labelled {self.label!r}") from None
        try:
            return token.open(rw=True, user_pin=self._access.pin)  # type: ignore[no-any-return]
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)  # type: ignore[no-any-return]
        except (
            pkcs11.PinIncorrect,
            pkcs11.PinInvalid,
            pkcs11.PinLenRange,
            pkcs11.PinLocked,
            pkcs11.PinExpired,
            pkcs11.UserPinNotInitialized,
        ) as error:
            # A token locks itself after a few wrong ones: it is not asked again before the next start.
            self._refused = HardwareUnavailable("pin", f"the token refuses it ({type(error).__name__})")
            raise self._refused from None

    def _drop(self) -> None:
        from pkcs11 import PKCS11Error

        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except PKCS11Error:
                return  # it was lost
