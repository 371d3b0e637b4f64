"""The targets of a run: those of mailrun.toml, and those of its campaign."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from engine.errors import ConfigurationError
from engine.logs import get_logger
from engine.masking import remember_secrets
from engine.notify_targets.sections import NotifySettings, NotifySpec, parse_wait, read_spec
from engine.notify_targets.target import SECRET_CHARACTERS, NotifyTarget, TargetError, check_webhook
from engine.settings import Settings

log = get_logger()


class RunTargets(Struct, frozen=True):
    """The receivers of notifications about a run.

    Attributes:
        targets: by name.
        link: template of the link; empty for none.
        stalled_seconds: how long the run may send nothing.
    """

    targets: Mapping[str, NotifyTarget]
    link: str
    stalled_seconds: float


def find_targets(settings: NotifySettings, campaign: str | None) -> RunTargets:
    """Find the receivers of notifications about a run.

    A campaign's targets are added to those of mailrun.toml, and replace those of the same name.

    Args:
        settings: `[notify]` of mailrun.toml.
        campaign: `[notify]` of the frozen campaign as JSON; None where it has none.
    """
    spec = NotifySpec() if campaign is None else _read_frozen(campaign)
    inherited = settings.targets if spec.inherit else {}
    return RunTargets(
        targets={**inherited, **spec.targets},
        link=settings.link if spec.link is None else spec.link,
        stalled_seconds=parse_wait(spec.stalled_after or settings.stalled_after),
    )


def _read_frozen(campaign: str) -> NotifySpec:
    """Read `[notify]` of a frozen campaign; as if it had none where it is damaged or of a later version of mailrun."""
    try:
        return read_spec(campaign)
    except ValueError as error:
        log.info("notify.unread", note=f"[notify] of a campaign in the ledger cannot be read: {type(error).__name__}")
        return NotifySpec()


def read_url(name: str, target: NotifyTarget, settings: Settings) -> str:
    """Read the URL of a webhook: the target's own, its file's, or that of MAILRUN_NOTIFY_URLS.

    Raises:
        ConfigurationError: there is none, or it is not a URL.
    """
    where = f"[notify.targets.{name}]"
    if target.url is not None:
        return target.url.get_secret_value()
    if target.url_file:
        url = _read_file(settings.workspace / target.url_file, where)
    elif name in settings.notify.urls:
        url = settings.notify.urls[name].get_secret_value()
    else:
        raise ConfigurationError(
            f"the target {name} has no URL", where=where, remedy="set url_file, or MAILRUN_NOTIFY_URLS"
        )
    try:
        return check_webhook(url, target.kind)
    except TargetError as error:
        raise ConfigurationError(
            f"the URL of the target {name} {error.args[0]}", where=where, remedy=str(error.args[1])
        ) from None


def read_secret(name: str, target: NotifyTarget, settings: Settings) -> bytes:
    """Read the secret that signs a JSON webhook.

    Raises:
        ConfigurationError: there is none, or it is too short.
    """
    where = f"[notify.targets.{name}]"
    if target.secret_file:
        secret = _read_file(settings.workspace / target.secret_file, where)
    elif name in settings.notify.secrets:
        secret = settings.notify.secrets[name].get_secret_value()
    else:
        raise ConfigurationError(
            f"the target {name} has no secret", where=where, remedy="set secret_file, or MAILRUN_NOTIFY_SECRETS"
        )
    if len(secret) < SECRET_CHARACTERS:
        raise ConfigurationError(
            f"the secret of the target {name} is too short",
            where=where,
            remedy="create one, for instance with: openssl rand -hex 32",
        )
    return secret.encode()


def _read_file(path: Path, where: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(
            f"cannot be read: {why}", where=f"{where}, {path}", remedy="make the file readable"
        ) from None
    remember_secrets([text])
    return text
