"""What refusals of this package say to people: a title, what happened, what to do."""

from accounts.pages.page import N_

EXPLANATIONS: dict[str, tuple[str, str, str]] = {
    "no_such_service": (
        N_("This agreement is not there"),
        N_("It belongs to another account, or it has ended."),
        N_("Go to “Services you use” to see the agreements you have."),
    ),
    "no_such_request": (
        N_("This request is not there"),
        N_("It belongs to another account or another browser, or its time is over."),
        N_("Start again where you began: on your device, or with the service that asks."),
    ),
}
