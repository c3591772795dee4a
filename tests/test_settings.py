"""Settings: which source wins, and what is said about a configuration that cannot be used."""

import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import OFFLINE
from worker import settings
from worker.settings import STAGES, ConfigError, Settings

SECRET = "postgresql://kabar:hunter2@db.test/kabar"


class Load(Protocol):
    def __call__(self, toml: str | bytes | None = None, /, **environment: str) -> Settings: ...


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load settings from the text of a file and these variables, without their `KABAR_`.

    The file is `kabar.toml` in the working directory, so that messages name it like that.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(OFFLINE)

    def load(toml: str | bytes | None = None, /, **environment: str) -> Settings:
        if toml is not None:
            path = Path("kabar.toml")
            path.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
            monkeypatch.setenv("KABAR_CONFIG", str(path))
        for name, value in environment.items():
            monkeypatch.setenv(f"KABAR_{name}", value)
        return settings.load()

    return load


@pytest.fixture
def refusal(load: Load) -> "Refusal":
    """What is said when settings are refused."""

    def refusal(toml: str | bytes | None = None, /, **environment: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(toml, **environment)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return refusal


class Refusal(Protocol):
    def __call__(self, toml: str | bytes | None = None, /, **environment: str) -> str: ...


class TestSources:
    def test_without_any_there_are_the_defaults(self, load: Load) -> None:
        loaded = load()
        assert (loaded.poll.interval_seconds, loaded.web.port) == (900, 8080)
        assert loaded.store_url == f"sqlite:///{loaded.data_dir.absolute()}/kabar.db"

    def test_the_file_wins_over_the_defaults_and_the_environment_over_both(
        self, load: Load
    ) -> None:
        toml = "[poll]\ninterval_seconds = 60\nbatch = 7\n[web]\nport = 1\n"
        loaded = load(toml, POLL__INTERVAL_SECONDS="30", WEB__HOST="::1")
        assert (loaded.poll.interval_seconds, loaded.poll.batch, loaded.poll.backfill) == (
            30,
            7,
            10,
        )
        assert (loaded.web.host, loaded.web.port) == ("::1", 1)

    def test_the_file_in_config_is_read_where_none_is_named(
        self, load: Load, tmp_path: Path
    ) -> None:
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "kabar.toml").write_text("[web]\nport = 5\n")
        assert load().web.port == 5
        assert load("[web]\nport = 6\n").web.port == 6

    def test_variables_may_be_in_lower_case(
        self, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("kabar_web__port", "5")
        assert load().web.port == 5

    @pytest.mark.parametrize(
        ("value", "networks"),
        [
            ("10.1.0.0/16", ["10.1.0.0/16"]),
            ("10.1.0.0/16, ::1/128", ["10.1.0.0/16", "::1/128"]),
            ('["10.1.0.0/16", "::1/128"]', ["10.1.0.0/16", "::1/128"]),
            ("", []),
            ("[]", []),
        ],
    )
    def test_a_list_in_the_environment(self, load: Load, value: str, networks: list[str]) -> None:
        loaded = load(HTTP__ALLOW_NETWORKS=value)
        assert loaded.http.allow_networks == tuple(map(ip_network, networks))

    def test_a_list_of_numbers_in_the_environment(self, load: Load) -> None:
        assert load(FETCH__RETRY_SECONDS="5").fetch.retry_seconds == (5,)
        assert load(FETCH__RETRY_SECONDS="5,0.5").fetch.retry_seconds == (5, 0.5)

    @pytest.mark.parametrize("section", ["store", "broker"])
    def test_an_empty_url_is_none(self, load: Load, section: str) -> None:
        toml = f'[{section}]\nurl = ""\n'
        assert getattr(load(toml), section).url is None

    def test_an_empty_url_in_the_environment_wins_over_the_file(self, load: Load) -> None:
        assert load(f'[store]\nurl = "{SECRET}"\n').store.url == SECRET
        assert load(STORE__URL="").store.url is None

    def test_paths_may_begin_at_home(self, load: Load) -> None:
        loaded = load('feeds_file = "~/feeds.toml"\n', DATA_DIR="~/kabar")
        assert loaded.feeds_file == Path.home() / "feeds.toml"
        assert loaded.data_dir == Path.home() / "kabar"

    def test_settings_do_not_change(self, load: Load) -> None:
        loaded = load()
        with pytest.raises(ValueError, match="frozen"):
            loaded.web.port = 5
        with pytest.raises(ValueError, match="frozen"):
            loaded.data_dir = Path()

    def test_every_stage_has_its_lease(self, load: Load) -> None:
        loaded = load(LEASES__PUBLISH="61")
        assert loaded.lease("publish") == timedelta(seconds=61)
        assert {loaded.lease(stage) for stage in STAGES} == {
            timedelta(seconds=seconds) for seconds in (61, 120, 180)
        }


class TestFiles:
    """`KEY_FILE`: the value is in a file."""

    def test_any_key_may_be_read_from_a_file(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "url").write_text(f"{SECRET}\n")
        (tmp_path / "agent").write_text("Kabar of Ms. É\n", "utf-8")
        loaded = load(STORE__URL_FILE=str(tmp_path / "url"), HTTP__USER_AGENT_FILE="agent")
        assert (loaded.store.url, loaded.http.user_agent) == (SECRET, "Kabar of Ms. É")

    def test_it_is_read_in_place_of_the_key(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "url").write_text(SECRET)
        assert load(STORE__URL="sqlite:///x", STORE__URL_FILE="url").store.url == SECRET

    def test_feeds_file_is_a_key_of_its_own(self, load: Load, tmp_path: Path) -> None:
        assert load(FEEDS_FILE="mine.toml").feeds_file == Path("mine.toml")
        (tmp_path / "name").write_text("from-a-file.toml\n")
        assert load(FEEDS_FILE_FILE="name").feeds_file == Path("from-a-file.toml")

    def test_a_file_that_is_not_there(self, refusal: Refusal) -> None:
        assert refusal(STORE__URL_FILE="/nowhere/url") == (
            "KABAR_STORE__URL_FILE=/nowhere/url: No such file or directory"
        )

    def test_a_file_that_is_no_text(self, refusal: Refusal, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
        assert refusal(STORE__URL_FILE="key") == "KABAR_STORE__URL_FILE=key: not a text file"


class TestUnknownKeys:
    def test_in_the_file(self, refusal: Refusal) -> None:
        assert refusal('[http]\nuser_agnet = "x"\n') == (
            "kabar.toml: http.user_agnet: no such setting; did you mean 'http.user_agent'?"
        )

    def test_in_the_file_outside_of_its_section(self, refusal: Refusal) -> None:
        assert refusal("interval_seconds = 5\n") == (
            "kabar.toml: interval_seconds: no such setting; did you mean 'poll.interval_seconds'?"
        )

    def test_a_section_that_is_not(self, refusal: Refusal) -> None:
        assert refusal("[hhtp]\nmax_redirects = 5\n") == (
            "kabar.toml: hhtp: no such setting; did you mean 'http'?"
        )

    def test_with_nothing_near(self, refusal: Refusal) -> None:
        assert refusal("qqq = 1\n") == "kabar.toml: qqq: no such setting"

    def test_in_the_environment(self, refusal: Refusal) -> None:
        assert refusal(HTTP__USER_AGNET="x") == (
            "KABAR_HTTP__USER_AGNET: no such setting; did you mean 'KABAR_HTTP__USER_AGENT'?"
        )

    def test_in_the_environment_for_a_file(self, refusal: Refusal) -> None:
        assert refusal(STORE__ULR_FILE="x") == (
            "KABAR_STORE__ULR_FILE: no such setting; did you mean 'KABAR_STORE__URL'?"
        )

    def test_in_the_environment_with_nothing_near(self, refusal: Refusal) -> None:
        assert refusal(QQQ="1") == "KABAR_QQQ: no such setting"

    @pytest.mark.parametrize("name", ["STORE", "STORE_FILE"])
    def test_a_section_in_the_environment(self, refusal: Refusal, name: str) -> None:
        assert refusal(**{name: f'{{"url": "{SECRET}"}}'}) == (
            f"KABAR_{name}: a section, not a setting; its keys are KABAR_STORE__…"
        )


class TestWrongValues:
    @pytest.mark.parametrize(
        ("toml", "message"),
        [
            (
                "[http]\nmax_redirects = 3.5\n",
                (
                    "http.max_redirects = 3.5: "
                    "Input should be a valid integer, got a number with a fractional part"
                ),
            ),
            (
                "[http]\nmax_redirects = 99\n",
                "http.max_redirects = 99: Input should be less than or equal to 30",
            ),
            (
                '[log]\nlevel = "loud"\n',
                "log.level = 'loud': Input should be 'debug', 'info', 'warning' or 'error'",
            ),
            (
                '[translate]\nengines = ["babelfish"]\n',
                (
                    "translate.engines = 'babelfish': Input should be 'none', 'firefox', "
                    "'local-llm', 'openai', 'libretranslate', 'deepl' or 'google'"
                ),
            ),
            (
                "[webhooks]\nretry_seconds = [5, -1]\n",
                "webhooks.retry_seconds = -1: Input should be greater than or equal to 0",
            ),
            (
                "[poll]\ninterval_seconds = inf\n",
                "poll.interval_seconds = inf: Input should be a finite number",
            ),
            (
                '[http]\nallow_networks = ["10.0.0.1/8"]\n',
                "http.allow_networks = '10.0.0.1/8': 10.0.0.1/8 has host bits set",
            ),
            (
                '[http]\nallow_networks = ["my-lan"]\n',
                (
                    "http.allow_networks = 'my-lan': "
                    "'my-lan' does not appear to be an IPv4 or IPv6 network"
                ),
            ),
            (
                '[http]\nallow_networks = "10.0.0.0/8"\n',
                "http.allow_networks = '10.0.0.0/8': a list is expected",
            ),
            ("http = 3\n", "http: a section is expected, [http]"),
            (
                'data_dir = ""\n',
                "data_dir = '': a path is expected; leave the key out for the default",
            ),
        ],
    )
    def test_in_the_file(self, refusal: Refusal, toml: str, message: str) -> None:
        assert refusal(toml) == f"kabar.toml: {message}"

    def test_in_the_environment(self, refusal: Refusal) -> None:
        message = "Input should be a valid integer, unable to parse string as an integer"
        assert refusal("[web]\nport = 5\n", WEB__PORT="http") == (
            f"KABAR_WEB__PORT = 'http': {message}"
        )

    def test_in_a_list_in_the_environment(self, refusal: Refusal) -> None:
        assert refusal(FETCH__RETRY_SECONDS="5,soon") == (
            "KABAR_FETCH__RETRY_SECONDS = 'soon': "
            "Input should be a valid number, unable to parse string as a number"
        )

    def test_a_user_agent_that_would_end_its_header(self, refusal: Refusal) -> None:
        message = refusal('[http]\nuser_agent = "Kabar\\r\\nX-Other: 1"\n')
        assert message.startswith("kabar.toml: http.user_agent = 'Kabar\\r\\nX-Other: 1': ")

    def test_each_one_is_named(self, refusal: Refusal) -> None:
        message = refusal("[web]\nport = 70000\n[poll]\nbatch = 0\nbtach = 1\n")
        assert message.split("; ")[:2] == [
            "kabar.toml: poll.batch = 0: Input should be greater than or equal to 1",
            "kabar.toml: poll.btach: no such setting",
        ]
        assert message.endswith("web.port = 70000: Input should be less than or equal to 65535")

    @pytest.mark.parametrize(
        ("engine", "key"),
        [("openai", "openai.model"), ("deepl", "deepl.api_key"), ("google", "google.api_key")],
    )
    def test_an_engine_without_what_it_needs(
        self, refusal: Refusal, load: Load, engine: str, key: str
    ) -> None:
        secret = {"TRANSLATE__LIBRETRANSLATE__API_KEY": SECRET}
        message = refusal(TRANSLATE__ENGINES=f"firefox,{engine}", **secret)
        assert message == f"the engine {engine} needs translate.{key}"
        there = {f"TRANSLATE__{key.replace('.', '__').upper()}": "something"}
        assert load(TRANSLATE__ENGINES=engine, **there).translate.engines == (engine,)

    def test_summaries_by_a_model_need_one(self, refusal: Refusal, load: Load) -> None:
        message = refusal(PROCESS__SUMMARY_BY="llm")
        assert message == 'process.summary_by = "llm" needs translate.openai.model'
        found = load(PROCESS__SUMMARY_BY="llm", TRANSLATE__OPENAI__MODEL="small")
        assert found.process.summary_by == "llm"

    def test_a_key_comes_without_the_end_of_its_line(self, load: Load) -> None:
        key = load(TRANSLATE__DEEPL__API_KEY=f" {SECRET}\n").translate.deepl.api_key
        assert key is not None
        assert key.get_secret_value() == SECRET

    def test_intervals_that_contradict_each_other(self, refusal: Refusal, load: Load) -> None:
        assert refusal(POLL__MIN_INTERVAL_SECONDS="7200", POLL__MAX_INTERVAL_SECONDS="3600") == (
            "poll.min_interval_seconds = 7200 must not be more than "
            "poll.max_interval_seconds = 3600"
        )
        same = load(POLL__MIN_INTERVAL_SECONDS="3600", POLL__MAX_INTERVAL_SECONDS="3600")
        assert same.poll.min_interval_seconds == 3_600

    @pytest.mark.parametrize(
        ("environment", "message"),
        [
            (
                {"HTTP__TIMEOUT_SECONDS": "60"},
                "leases.poll = 120 must be more than twice http.timeout_seconds = 60",
            ),
            (
                {"LEASES__FETCH": "60", "HTTP__TIMEOUT_SECONDS": "30"},
                "leases.fetch = 60 must be more than twice http.timeout_seconds = 30",
            ),
            (
                {"LEASES__DELIVER": "30"},
                "leases.deliver = 30 must be more than twice webhooks.timeout_seconds = 15",
            ),
        ],
    )
    def test_a_request_has_to_fit_into_its_lease(
        self, refusal: Refusal, environment: dict[str, str], message: str
    ) -> None:
        assert refusal(**environment) == message

    def test_a_request_that_just_fits(self, load: Load) -> None:
        assert load(LEASES__DELIVER="30.5").leases.deliver == 30.5


class TestBrokenFiles:
    def test_broken_toml(self, refusal: Refusal) -> None:
        assert refusal("[http\n") == (
            "kabar.toml: Expected ']' at the end of a table declaration (at line 1, column 6)"
        )

    def test_no_text(self, refusal: Refusal) -> None:
        assert refusal(b"\xff\xfe[http]\n").startswith("kabar.toml: 'utf-8' codec can't decode")

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file of Linux")
    def test_a_file_that_cannot_be_read(self, refusal: Refusal) -> None:
        assert refusal(CONFIG="/proc/self/mem") == "/proc/self/mem: Input/output error"

    @pytest.mark.parametrize("path", ["/nowhere/kabar.toml", "/"])
    def test_no_such_file(self, refusal: Refusal, path: str) -> None:
        assert refusal(CONFIG=path) == f"KABAR_CONFIG={path}: no such file"

    def test_an_empty_name_names_none(self, load: Load) -> None:
        assert load(CONFIG="") == Settings()


class TestSecrets:
    """Whatever is wrong with a URL, its password is not repeated."""

    @pytest.mark.parametrize(
        "toml",
        [
            f'store = "{SECRET}"\n',
            f'[store]\nurl = ["{SECRET}"]\n',
            f'[store]\nurl = {{ a = "{SECRET}" }}\n',
            f'[broker]\nurl = ["{SECRET}"]\n',
            f'[store]\npassword = "{SECRET}"\n',
            f'[store]\nurl = "{SECRET}\n',
            f'[store]\nurl = "{SECRET}"\npool_size = 0\n',
        ],
    )
    def test_in_the_file(self, refusal: Refusal, toml: str) -> None:
        assert "hunter2" not in refusal(toml)

    def test_a_hidden_value_says_so(self, refusal: Refusal) -> None:
        assert refusal(f'[store]\nurl = ["{SECRET}"]\n') == (
            "kabar.toml: store.url = (hidden): Input should be a valid string"
        )

    def test_in_a_file_that_a_variable_names(self, refusal: Refusal, tmp_path: Path) -> None:
        (tmp_path / "url").write_text(SECRET)
        assert refusal(STORE__POOL_SIZE_FILE="url").startswith(
            "KABAR_STORE__POOL_SIZE_FILE = (hidden): Input should be a valid integer"
        )

    def test_in_the_environment(self, refusal: Refusal) -> None:
        assert "hunter2" not in refusal(STORE__URL=SECRET, STORE__POOL_SIZE="0")
        assert os.environ["KABAR_STORE__URL"] == SECRET
