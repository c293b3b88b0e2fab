"""The texts of refusals that have a page to themselves: what happened, and what to do next."""

from accounts.pages.page import N_

EXPLANATIONS: dict[str, tuple[str, str, str]] = {
    "account_suspended": (
        N_("Your account is suspended"),
        N_("For now you cannot see or change anything in it, or use it for services."),
        N_("Contact us if you do not know why, or think it is a mistake. Nothing in your account is lost."),
    ),
    "account_enrolling": (
        N_("Your account is not finished"),
        N_("You have begun to create an account. A second way to sign in is still missing."),
        N_("Sign in with your email address and password: we then lead you through the rest."),
    ),
    "account_closed": (
        N_("This account is closed"),
        N_("It was closed, and what was in it has been erased."),
        N_("You can create a new account. Services will not know that it is you."),
    ),
    "sign_in_unknown": (
        N_("We do not know this sign-in"),
        N_("The address of this page is incomplete, or it is from long ago."),
        N_("Go back to the service you wanted to use and start again from there."),
    ),
    "busy": (
        N_("Many people are signing in right now"),
        N_("We cannot check passwords fast enough at the moment. Your account is safe."),
        N_("Wait a few seconds, then try again. With a passkey you need not wait."),
    ),
    "password_needed": (
        N_("You still need your password"),
        N_("Without it you would sign in with passkeys alone. For that you need a passkey and recovery codes."),
        N_("Add a passkey and make recovery codes under “Security”, then remove your password."),
    ),
    "last_email": (
        N_("You need this email address"),
        N_("You sign in with it, and we could not tell you any more what happens in your account."),
        N_("Add another email address first, then remove this one. Or replace it."),
    ),
    "last_way_back": (
        N_("You need this to get back in"),
        N_("Without it, losing one thing would lock you out of your account. So we have not removed it."),
        N_("Set up another way to sign in first, or make new recovery codes, then remove this one."),
    ),
}
"""By the refusal's reason: the title, what happened, what to do next (message ids)."""
