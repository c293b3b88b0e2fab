"""One process' house: what the settings become before the first request."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path

from accounts.database import Database
from accounts.errors import Refusal
from accounts.notification import Message
from accounts.outbox import Leased
from accounts.store import Store
from accounts.vault import Vault
from config.clock import Clock
from config.database import open_engine
from config.gateway import Channels, Gateway
from config.keys import read_keys
from config.mail import Messages, Smtp, Transport
from config.notify import Notify
from config.policies import identity_policy, provider_of
from config.settings import Settings, SettingsError
from config.signing import key_holder, token_of
from config.site.theme import Theme, ThemeError, read_theme
from config.store import open_store
from config.sweeper import Sweeper, every_sweep
from config.worker import Handler, Worker
from identity.confirmation_code import LIFETIME as CODE_LIFETIME
from identity.password import Hasher, HashParameters
from identity.recovery import RECOVERY_READY, announce_ready
from identity.session import SESSION_ENDED
from oidc.key_schedule import schedule
from oidc.protocol.errors import ProtocolError

TEMPLATE_FOLDERS = tuple(
    Path(str(files(package) / "templates"))
    for package in ("accounts.pages", "identity.pages", "oidc.endpoints", "config.site")
)


class House:
    """Everything that lives as long as the process: opened once, closed once."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        database: Database,
        store: Store,
        vault: Vault,
        transport: Transport,
        hashing: HashParameters = HashParameters(),  # noqa: B008 - frozen
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.database = database
        self.store = store
        self.vault = vault
        self.transport = transport
        self.theme = _theme(settings)
        self.identity_policy = identity_policy(settings, self.theme)
        self.hasher = Hasher(vault, hashing)
        self.hardware_token = token_of(settings.keys)
        self.key_holder = key_holder(self.hardware_token, vault)
        self.provider = provider_of(settings, vault, self.key_holder)
        self.trusted_proxies = tuple(ip_network(network) for network in settings.proxy.trusted)
        self._messages = Messages(self.theme, TEMPLATE_FOLDERS, settings.issuer)

    @staticmethod
    async def open(settings: Settings, clock: Clock, transport: Transport | None = None) -> "House":
        """Read keys, open database and store. Raises `SettingsError`."""
        vault = Vault(read_keys(Path(settings.keys.directory)))
        chosen = settings.database
        engine = open_engine(
            chosen.url,
            chosen.pool_size,
            durable=not settings.is_throwaway,
            statement_timeout=chosen.statement_timeout,
        )
        # In a throw-away service nothing was issued before it began: whatever is offered may be new.
        born_at = clock.now() - timedelta(days=1) if settings.is_throwaway else clock.now()
        return House(
            settings,
            clock,
            Database(engine, keep=(Refusal, ProtocolError)),
            await open_store(settings.store.url, born_at, settings.store.prefix),
            vault,
            transport or _transport(settings, clock),
        )

    async def close(self) -> None:
        """Give everything back."""
        await self.provider.fetcher.close()
        self.hasher.close()
        await self.store.close()
        await self.database.engine.dispose()

    def worker(self, pause: float = 0.5) -> Worker:
        """The outbox worker of this house."""
        sweeps = every_sweep()
        if self.settings.keys.rotate_every:
            every = timedelta(seconds=self.settings.keys.rotate_every)
            sweeps["signing_key"] = schedule(self.key_holder, every)
        sweeper = Sweeper(self.database, self.clock, sweeps)
        return Worker(self.database, self.vault, self.clock, self._handlers(), pause, sweeper)

    def _handlers(self) -> Mapping[str, Handler]:
        from identity.failure_burst import FAILURE_BURST, announce_failures
        from oidc.ciba_notice import SIGN_IN_ASKED, tell_asked
        from oidc.ciba_ping import PING, ping
        from oidc.logout import deliver_logout, spread_logout

        with_provider = (self.provider, self.database, self.vault)
        return {
            "message": self._send_message,
            SESSION_ENDED: partial(spread_logout, *with_provider),
            "logout_token": partial(deliver_logout, *with_provider),
            PING: partial(ping, *with_provider),
            SIGN_IN_ASKED: partial(tell_asked, *with_provider),
            RECOVERY_READY: self._announce_ready,
            FAILURE_BURST: partial(announce_failures, self.database, self.vault),
        }

    async def _announce_ready(self, work: Leased, now: datetime) -> None:
        async with self.database.begin() as db:
            await announce_ready(db, self.vault, work, now)

    async def _send_message(self, work: Leased, now: datetime) -> None:
        payload = work.payload
        if "code" in payload["values"] and now - work.created_at > CODE_LIFETIME:
            return  # whoever waited for it has asked for another one
        await self.transport.send(
            self._messages.render(
                Message(payload["channel"], payload["to"], payload["template"], payload["language"], payload["values"])
            )
        )


def _transport(settings: Settings, clock: Clock) -> Transport:
    sms = settings.sms
    texts: Transport | None = Gateway(sms.url, sms.secret) if sms.url else None
    if sms.via == "notify":
        texts = Notify(sms.url, sms.secret, sms.template, clock.now)
    return Channels(Smtp(settings.mail.url, settings.mail.sender), texts)


def _theme(settings: Settings) -> Theme:
    try:
        return read_theme(Path(settings.site.theme) if settings.site.theme else None)
    except ThemeError as error:
        raise SettingsError(f"site.theme: {error}") from None
