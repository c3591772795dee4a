"""`kabar articles clean`."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Commands
from tests.http.peers import answer, redirect
from tests.tasks.site import Site
from tests.tasks.test_parts import part

DATA = Path(__file__).parents[1] / "data" / "articles"
URL = "https://lembah.example/berita/jembatan"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A file with a page in it."""
    path = tmp_path / "sungai.html"
    path.write_text((DATA / "sungai.html").read_text("utf-8").replace("CHARSET", "utf-8"), "utf-8")
    return path


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("KABAR_HTTP__ALLOW_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("KABAR_POLITENESS__SPACING_SECONDS", "0")
    with Site() as site:
        yield site


class TestAFile:
    def test_as_json(self, kabar: Commands, page: Path) -> None:
        expected = json.loads((DATA / "sungai.json").read_text("utf-8"))
        document = kabar("articles", "clean", str(page), "--url", URL, "--json").json
        assert document["title"] == expected["title"]
        assert document["authors"] == expected["authors"]
        assert document["canonical_url"] == expected["canonical_url"]
        assert document["language"] == "id"  # identified; declared is id-ID
        assert document["text"].startswith(expected["begins"])
        assert document["text"].count("\n\n") == expected["paragraphs"] - 1
        assert document["word_count"] == len(document["text"].split())

    def test_for_people(self, kabar: Commands, page: Path) -> None:
        out = kabar("articles", "clean", str(page)).out
        head, _, text = out.partition("\n\n")
        lines = {line.split("  ")[0]: line.rpartition("  ")[2] for line in head.splitlines()}
        assert lines["authors"] == "Rani Sasmita"
        assert lines["language"] == "id"
        assert "text" not in lines
        assert text.startswith("Jembatan lama di tepi kota Lembah")

    def test_on_standard_input(
        self, kabar: Commands, page: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(page.read_bytes())))
        document = kabar("articles", "clean", "-", "--url", URL, "--json").json
        assert document["publisher"] == "Kabar Lembah"

    def test_no_settings_and_no_store_are_needed(self, kabar: Commands, page: Path) -> None:
        assert kabar("articles", "clean", str(page)).code == 0

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            (b"", "no_text: "),
            (b"\0\xff\xfe" * 99, "no_text: "),
            (b"<title>Just a moment...</title>", "bot_check: its title is 'Just a moment...'"),
            (b"<noscript>Please enable JavaScript</noscript>", "needs_javascript: "),
        ],
    )
    def test_that_is_no_article(
        self, kabar: Commands, tmp_path: Path, body: bytes, error: str
    ) -> None:
        path = tmp_path / "x.html"
        path.write_bytes(body)
        assert kabar("articles", "clean", str(path)).error.startswith(f"kabar: {error}")

    def test_that_is_not_there(self, kabar: Commands) -> None:
        error = kabar("articles", "clean", "nothing.html").error
        assert error == "kabar: nothing.html is neither a URL (http://, https://) nor a file"


class TestAUrl:
    def test_with_all_its_parts(self, kabar: Commands, site: Site) -> None:
        site.routes |= {"/boats": part("tug", "?page=2 2"), "/boats?page=2": part("barge")}
        document = kabar("articles", "clean", site.url("/boats"), "--json").json
        assert document["text"].index("The tug") < document["text"].index("The barge")
        assert [site.asked(path) for path in ("/robots.txt", "/boats", "/boats?page=2")] == [1] * 3

    def test_where_it_leads(self, kabar: Commands, site: Site) -> None:
        leads = f'<meta http-equiv=refresh content="0;url={site.url("/boats")}">'
        site.routes |= {"/short": answer(leads.encode()), "/boats": part("tug")}
        assert "The tug" in kabar("articles", "clean", site.url("/short"), "--json").json["text"]

    def test_on_another_host_by_its_own_rules(self, kabar: Commands, site: Site) -> None:
        with Site() as other:
            other.routes |= {
                "/robots.txt": answer(b"User-agent: *\nDisallow: /no\n"),
                **{path: part("tug") for path in ("/boats", "/no")},
            }
            site.routes |= {path: redirect(other.url(path)) for path in ("/boats", "/no")}
            text = kabar("articles", "clean", site.url("/boats"), "--json").json["text"]
            assert "The tug" in text
            assert ": robots_denied: " in kabar("articles", "clean", site.url("/no")).error
            assert (other.asked("/robots.txt"), other.asked("/no")) == (2, 0)

    def test_that_is_forbidden(self, kabar: Commands, site: Site) -> None:
        site.routes |= {
            "/robots.txt": answer(b"User-agent: *\nDisallow: /\n"),
            "/boats": part("tug"),
        }
        error = kabar("articles", "clean", site.url("/boats")).error
        assert error.startswith(f"kabar: {site.url('/boats')}: robots_denied: ")
        assert site.asked("/boats") == 0

    def test_that_is_not_there(self, kabar: Commands, site: Site) -> None:
        assert ": not_found: " in kabar("articles", "clean", site.url("/none")).error

    def test_of_a_private_address(self, kabar: Commands) -> None:
        assert ": address_denied: " in kabar("articles", "clean", "http://127.0.0.1:9/a").error

    def test_that_cannot_be_requested(self, kabar: Commands) -> None:
        assert ": invalid_url: " in kabar("articles", "clean", "http://[::1/a").error


class TestExplain:
    PAGE = (
        "<html lang=id><head><title>Jembatan Dibuka Lagi</title></head><body><article>"
        "<h1>Jembatan Dibuka Lagi</h1>"
        + "".join(f"<p>Jembatan nomor {n} dibuka lagi pada Selasa pagi itu.</p>" for n in range(6))
        + '<p><strong>Baca juga: <a href="/a/1">Pasar Lembah Pindah</a></strong></p>'
        "<p>Warga menyeberang lebih dulu, lalu para pedagang menyusul.</p></article></body></html>"
    )

    def test_each_block_with_its_rule(self, kabar: Commands, tmp_path: Path) -> None:
        path = tmp_path / "x.html"
        path.write_text(self.PAGE, "utf-8")
        blocks = kabar("articles", "clean", str(path), "--url", URL, "--explain", "--json").json
        kept = [block["text"] for block in blocks if block["kept"]]
        text = kabar("articles", "clean", str(path), "--url", URL, "--json").json["text"]
        assert kept == text.split("\n\n")
        (promoted,) = [block for block in blocks if "Pasar Lembah" in block["text"]]
        assert (promoted["kept"], promoted["part"]) == (False, 1)
        assert promoted["rule"]
        lines = kabar("articles", "clean", str(path), "--url", URL, "--explain").out.splitlines()
        assert len(lines) == len(blocks)
        assert sum(line.startswith("keep  ") for line in lines) == len(kept)

    def test_what_is_no_article_has_no_blocks(self, kabar: Commands, tmp_path: Path) -> None:
        path = tmp_path / "x.html"
        path.write_bytes(b"")
        assert "no_text" in kabar("articles", "clean", str(path), "--explain").error
