"""What has changed since a launch: the campaign's folder and the files of audience and suppressions.

A run sends what was frozen; changes are only reported.
"""

from pathlib import Path

from pydantic import ValidationError

from engine.campaign.files import find_files, is_part
from engine.errors import DataError, escape_controls
from engine.ledger.runs import Run
from engine.run.manifest import FILE, FrozenSource, Manifest, digest_campaign_file
from engine.store.files import digest_file
from engine.store.port import Store


def find_changes(manifest: Manifest, workspace: Path, *, campaign: Path | None = None) -> list[str]:
    """Compare a run's sources with what is in the workspace now; a sentence for each that differs.

    On a machine that does not have the campaign there is nothing to compare.

    Args:
        manifest: what was frozen.
        workspace: where the paths begin.
        campaign: the campaign's folder, where it is known; else it is where it was.
    """
    folder = campaign or workspace / manifest.campaign_from
    if not manifest.campaign_from or not folder.is_dir():
        return []
    found = [*_compare_campaign(manifest, folder), *filter(None, (_compare(s, workspace) for s in manifest.sources))]
    return list(map(escape_controls, found))


def list_changes(run: Run, store: Store, workspace: Path) -> list[str]:
    """Compare a run with its workspace, for `status`; nothing is compared where run.json cannot be read."""
    data = store.read(f"{run.folder}/{FILE}")
    try:
        manifest = Manifest.model_validate_json(data or b"")
    except ValidationError:
        return []  # the audit reports it
    return find_changes(manifest, workspace)


def _compare_campaign(manifest: Manifest, folder: Path) -> list[str]:
    # Runs of earlier versions also froze files that are not part of a campaign.
    then = {file: kept for file, kept in manifest.campaign_files.items() if is_part(file)}
    name, now, unread = manifest.campaign_from, dict[str, str](), dict[str, str]()
    try:
        found = find_files(folder)
    except DataError as error:  # too many folders to look at
        return [f"{name} is not read: {error.what}"]
    for file, path in found.files.items():
        try:
            now[file] = digest_campaign_file(folder, file, path)
        except DataError as error:  # such as one that is not readable, or was replaced by a link just now
            unread[file] = error.what
    changed = [f"{name}/{file} was changed" for file in then if file in now and now[file] != then[file]]
    gone = [f"{name}/{file} was removed" for file in then if file not in now | found.refused | unread]
    added = [f"{name}/{file} was added" for file in now if file not in then]
    refused = [f"{name}/{file} is {kind}: it is not read" for file, kind in found.refused.items()]
    return [*changed, *gone, *added, *refused, *(f"{name}/{what}" for what in unread.values())]


def _compare(source: FrozenSource, workspace: Path) -> str | None:
    if source.version is not None:
        return None  # an object: S3 is not called for this check
    path = workspace / source.name
    try:
        state = path.stat()
        if (state.st_size, state.st_mtime_ns) == (source.size_bytes, source.mtime_ns):
            return None
        if state.st_size == source.size_bytes and digest_file(path) == source.digest:
            return None  # touched, or copied
    except FileNotFoundError:
        return f"{source.name} was removed"
    except OSError as error:
        return f"{source.name} cannot be read: {error.strerror}"
    return f"{source.name} was changed"
