"""The texts of error pages, by reason and by status: what happened, and what to do next."""

from collections.abc import Mapping

from accounts.pages.page import N_

Explanation = tuple[str, str, str]
"""Message ids: the title, what happened, what to do next."""

START_AGAIN = N_("Go back to the service you wanted to use and start again from there.")
TRY_LATER = N_("Try again in a few minutes. If you still cannot get through, contact us.")

BY_STATUS: Mapping[int, Explanation] = {
    400: (
        N_("There is a problem with that request"),
        N_("Your browser sent something we could not read, so nothing was changed."),
        N_("Go back and try again. If you came from another service, start again from there."),
    ),
    401: (
        N_("You need to sign in"),
        N_("This page is only shown to people who are signed in."),
        N_("Sign in, then open the page again."),
    ),
    403: (
        N_("You cannot open this page"),
        N_("You are not allowed to see this page or do what you tried to do. Nothing was changed."),
        N_("If you think that is a mistake, contact us."),
    ),
    404: (
        N_("Page not found"),
        N_("There is no page at this address."),
        N_("If you typed the address, check it. If you pasted it, check that you copied all of it."),
    ),
    405: (
        N_("This page cannot be opened like that"),
        N_("The address is right, but it belongs to a form and cannot be opened by itself."),
        N_("Go back to the page before and use the button there."),
    ),
    413: (
        N_("That was too much to send"),
        N_("What you sent is larger than we accept, so we did not read it."),
        N_("Go back, shorten your answers and try again."),
    ),
    415: (
        N_("We could not read that form"),
        N_("Your browser sent the form in a way we do not understand, so nothing was changed."),
        N_("Go back and try again, or use another browser."),
    ),
    429: (
        N_("Too many attempts"),
        N_("We received too many attempts in a short time and have stopped for a while, to keep accounts safe."),
        N_("Wait a little, then try again. Trying more often makes the wait longer."),
    ),
    500: (
        N_("Sorry, there is a problem with the service"),
        N_("Something went wrong on our side. It is not your fault, and we have been told about it."),
        TRY_LATER,
    ),
    503: (
        N_("Sorry, the service is not available right now"),
        N_("We cannot answer at the moment. Your account is safe."),
        TRY_LATER,
    ),
}

AWAY = (*BY_STATUS[503][:2], N_("Wait a moment, then try again. If you still cannot get through, contact us."))
"""What is back within seconds, most of the times."""

EXPLANATIONS: Mapping[str, Explanation] = {
    "bad_form": BY_STATUS[415],
    "too_large": BY_STATUS[413],
    "form_expired": (
        N_("This page was open for too long"),
        N_("To keep you safe, a form works for a limited time and only in the browser that opened it."),
        N_("Go back, reload the page and fill it in again."),
    ),
    "interaction_expired": (
        N_("You took too long to sign in"),
        N_("For your safety we stop waiting after a while. You have not been signed in to the service."),
        START_AGAIN,
    ),
    "interaction_done": (
        N_("You have already finished this step"),
        N_("This page was used before, perhaps in another tab or with the back button. It works only once."),
        N_("Open the service you wanted to use. If you are not signed in there, start again from there."),
    ),
    "wrong_browser": (
        N_("This link belongs to another browser"),
        N_("You started in one browser and opened this page in another, so we cannot know it is you."),
        N_("Go on in the browser where you started, or start again in this one."),
    ),
    "cookies_refused": (
        N_("Your browser does not accept our cookies"),
        N_("We use a cookie to know that it is still you from one page to the next. Without it you cannot sign in."),
        N_("Allow cookies for this site in the settings of your browser, then try again. None is for advertising."),
    ),
    "unknown_client": (
        N_("We do not know this service"),
        N_("You were sent here by a service that is not registered with us. For your safety we have stopped."),
        N_("Do not enter your details there. Find the service through its official website and try again."),
    ),
    "bad_redirect_uri": (
        N_("We cannot send you back to that service"),
        N_("The service asked us to send you to an address it has not registered. For your safety we have stopped."),
        N_("Find the service through its official website and try again. If it happens again, tell the service."),
    ),
    "not_signed_in": BY_STATUS[401],
    "not_fresh": (
        N_("Please sign in again"),
        N_("You signed in some time ago. Before you change something important we check again that it is you."),
        N_("Sign in, then open the page again."),
    ),
    "too_many_attempts": BY_STATUS[429],
    "store_unavailable": AWAY,
    "database_unavailable": AWAY,
}


def explanation_of(own: Mapping[str, Explanation], status: int, reason: str) -> Explanation:
    """By reason: a package's own text, then ours; else by status; else by the kind of status."""
    general = BY_STATUS[500 if status >= 500 else 400]
    return own.get(reason) or EXPLANATIONS.get(reason) or BY_STATUS.get(status, general)
