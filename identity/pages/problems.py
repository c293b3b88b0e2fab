"""Refusals that a form can answer: beside which field, in which words."""

import structlog

from accounts.errors import Refusal
from accounts.pages.page import N_, Problem

log: structlog.stdlib.BoundLogger = structlog.get_logger("forms")

WORDS: dict[str, str] = {
    "attempts_used_up": N_(
        "Too many wrong attempts, so this way is closed. Sign in with a passkey, or in a browser you have used before, "
        "or choose “Forgotten password”."
    ),
    "email_invalid": N_("Enter an email address in the right form, like name@example.org"),
    "credentials_wrong": N_("The email address or the password is not right. Check both and try again."),
    "code_wrong": N_("That code is not right, or it has been used already. Check it, or wait for the next one."),
    "password_too_short": N_(
        "A little longer, please: add a word or two. Length protects more than signs and digits do."
    ),
    "password_too_long": N_("Choose a password of 128 characters or fewer"),
    "password_common": N_("Many people use this password, so it is easy to guess. Choose another one."),
    "password_context": N_("This password is too close to your address or to our name. Choose another one."),
    "phone_invalid": N_("Enter a phone number with its country code, like +44 20 7946 0958"),
    "phone_country": N_("We cannot send text messages to this country. Use another number, or an email address."),
    "contact_own": N_("You have given us this one already"),
    "contact_too_many": N_("You have as many as we can keep. Remove one you no longer use."),
    "recovery_impossible": N_("This is not possible any more: a phone number or email address was changed."),
    "contact_taken": N_("This one cannot be added to your account. Use another one."),
    "passkey_expired": N_("That took too long, so we stopped. Try again."),
    "passkey_refused": N_("Your device's answer was not right for this account. Try again, or choose another way."),
    "passkey_unknown": N_("We do not know this passkey. It may have been removed, or belong to another account."),
    "passkey_make": N_(
        "This needs a security key whose make we can check, and yours is not one of them. It was not added. Use "
        "another key, or ask the service which keys it takes."
    ),
    "passkey_known": N_("This device already has a passkey for your account."),
    "app_too_many": N_("You have two authenticator apps, which is as many as we keep. Remove one you no longer use."),
    "passkey_too_many": N_("You have as many passkeys as we can keep. Remove one you no longer use."),
}
"""By the refusal's reason."""

WAITS: tuple[tuple[int, str], ...] = (
    (60, N_("Too many attempts. Wait a minute, then try again.")),
    (300, N_("Too many attempts. Wait 5 minutes, then try again.")),
    (10**9, N_("Too many attempts. Wait 15 minutes, then try again.")),
)
"""By the longest number of seconds they cover."""


SLOWED = N_("Many people are trying to sign in just now. Wait %(seconds)s seconds, then press the button again.")
SLOWED_LONG = N_("Many people are trying to sign in just now. Wait %(minutes)s minutes, then press the button again.")


def problem_of(refusal: Refusal, field: str) -> Problem:
    """What is wrong, beside `field`. A refusal that no form can answer is raised on to its own page."""
    if refusal.reason not in ("too_many_attempts", "slowed") and refusal.reason not in WORDS:
        raise refusal
    log.info("form_refused", reason=refusal.reason, field=field)
    wait = refusal.retry_after or 0
    if refusal.reason == "too_many_attempts":
        return Problem(field, next(words for seconds, words in WAITS if wait <= seconds))
    if refusal.reason == "slowed":  # nothing is wrong with what was typed
        if wait > 90:
            return Problem("", SLOWED_LONG, {"minutes": str(-(-wait // 60))})
        return Problem("", SLOWED, {"seconds": str(5 * max(1, -(-wait // 5)))})
    return Problem(field, WORDS[refusal.reason])
