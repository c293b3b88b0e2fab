"""Static assets: named by content, compressed ahead, kept for a year, never missing."""

import gzip
import re
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from config.site.static import Assets, read_assets, static_handler, takes_gzip
from config.site.theme import read_theme


@pytest.fixture(scope="module")
def assets() -> Assets:
    return read_assets(read_theme())


@pytest.fixture(scope="module")
def client(assets: Assets) -> TestClient[Litestar]:
    return TestClient(Litestar([static_handler(assets)], openapi_config=None))


def test_an_asset_is_kept_for_a_year_under_a_name_that_changes_with_it(
    client: TestClient[Litestar], assets: Assets
) -> None:
    sent = client.get(assets["app.css"].url, headers={"accept-encoding": "br, gzip"})

    assert sent.status_code == 200
    assert sent.headers["content-type"] == "text/css; charset=utf-8"
    assert sent.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert sent.headers["content-encoding"] == "gzip"
    assert sent.headers["x-content-type-options"] == "nosniff"
    assert sent.headers["vary"] == "accept-encoding"
    assert sent.content == assets["app.css"].plain
    assert int(sent.headers["content-length"]) == len(assets["app.css"].packed)


def test_who_cannot_unpack_gets_the_plain_bytes(client: TestClient[Litestar], assets: Assets) -> None:
    sent = client.get(assets["app.css"].url, headers={"accept-encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in sent.headers
    assert sent.content == assets["app.css"].plain


def test_a_browser_that_has_it_is_told_so(client: TestClient[Litestar], assets: Assets) -> None:
    """RFC 9110 section 13.1.2: weak comparison, a list, or any."""
    asset = assets["site.js"]
    for condition in (asset.etag, f'W/{asset.etag}, "other"', "*"):
        sent = client.get(asset.url, headers={"if-none-match": condition})
        assert (sent.status_code, sent.content, sent.headers["etag"]) == (304, b"", asset.etag)
    assert client.get(asset.url, headers={"if-none-match": '"other"'}).status_code == 200


def test_head_says_what_get_would(client: TestClient[Litestar], assets: Assets) -> None:
    sent = client.head(assets["app.css"].url, headers={"accept-encoding": "gzip"})
    assert sent.status_code == 200
    assert int(sent.headers["content-length"]) == len(assets["app.css"].packed)
    assert sent.content == b""


def test_during_a_rolling_release_the_other_hash_is_served_but_not_kept(client: TestClient[Litestar]) -> None:
    """A page of the new worker asks the old worker for a style sheet that it does not have: better ours than none."""
    sent = client.get("/static/app.000000000000.css")
    assert sent.status_code == 200
    assert sent.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize("path", ["/static/theme.toml", "/static/..%2ftheme.toml", "/static/app.css.py", "/static/"])
def test_nothing_else_can_be_read(client: TestClient[Litestar], path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_deployments_colours_change_the_address(tmp_path: Path, assets: Assets) -> None:
    theme_file = tmp_path / "theme.toml"
    theme_file.write_text('logo = "logo.svg"\n[light]\nbrand = "#003366"\n')
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    own = read_assets(read_theme(theme_file))

    assert own["app.css"].url != assets["app.css"].url
    assert b"#003366" in own["app.css"].plain
    assert own["logo.svg"].kind == "image/svg+xml"


def test_other_packages_hand_in_their_files(tmp_path: Path) -> None:
    script = tmp_path / "passkey.js"
    script.write_text("// passkeys\n")
    assert read_assets(read_theme(), [script])["passkey.js"].url.startswith("/static/passkey.")
    script.rename(tmp_path / "site.js")
    with pytest.raises(ValueError, match="two assets are named"):
        read_assets(read_theme(), [tmp_path / "site.js"])


def test_the_style_sheet_knows_no_left_and_right(assets: Assets) -> None:
    """One style sheet for both directions of writing."""
    style = assets["app.css"].plain.decode()
    assert not re.findall(r"(?:margin|padding|border|inset|text-align)[-:a-z ]*(?:left|right)\b", style)


def test_style_script_and_icon_leave_room_for_the_page(assets: Assets) -> None:
    """14 KB over the wire for a whole page; the style sheet takes at most 5."""
    assert len(assets["app.css"].packed) <= 5 * 1024
    assert sum(len(asset.packed) for asset in assets.values()) <= 6 * 1024
    assert gzip.decompress(assets["app.css"].packed) == assets["app.css"].plain


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip; q=0", False), ("gzip;q=0.000", False), ("x-gzip, br", False)],
)
def test_gzip_is_used_only_where_it_is_accepted(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes
