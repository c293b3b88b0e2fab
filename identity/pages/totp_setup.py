"""An authenticator app, to be set up: the drawing for its camera, and the key to type."""

import msgspec

from identity.totp import Offer, provisioning_uri, qr_svg


class AppSetup(msgspec.Struct, frozen=True):
    """For a page: the offer's id, the QR code as SVG, the key in groups of four, and the link for this same device."""

    id: str
    svg: str
    key: str
    uri: str


def app_setup(offer: Offer, label: str, issuer: str) -> AppSetup:
    """`label`: how the citizen knows the account; `issuer`: how the app names us."""
    uri = provisioning_uri(offer.seed, label, issuer)
    groups = [offer.seed[at : at + 4] for at in range(0, len(offer.seed), 4)]
    return AppSetup(str(offer.id), qr_svg(uri), " ".join(groups), uri)
