"""Which files are part of a campaign."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.campaigns import TOML, render, write_campaign
from support.recorded import digest_campaign

from engine.campaign import files
from engine.campaign.content.templates import compile_content
from engine.campaign.files import copy_files, is_part, list_files, read_file, resolve_file
from engine.campaign.message import prepare_envelope
from engine.campaign.spec import Campaign, load_campaign, parse_spec
from engine.errors import ConfigurationError, DataError
from engine.run.manifest import Manifest, digest_tree
from engine.run.prepare.changes import find_changes

FILES = {
    "campaign.toml": TOML + 'text = "body.txt.j2"\n',
    "body.txt.j2": "Hi {% include 'img/part.j2' %}",
    "img/part.j2": "x",
}


def mount(folder: Path, stamp: str) -> Path:
    """Mount FILES as the kubelet does, again over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        path = folder / f"..{stamp}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    data = folder / "..data"
    before = data.readlink() if data.is_symlink() else None
    aside = folder / "..data_tmp"
    aside.symlink_to(f"..{stamp}")
    aside.rename(data)
    for name in {name.split("/")[0] for name in FILES}:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    if before is not None:
        for path in sorted((folder / before).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (folder / before).rmdir()
    return folder


def test_volume_of_kubernetes_mounted_again_is_the_same_campaign(tmp_path: Path) -> None:
    folder = mount(tmp_path / "campaigns" / "welcome", "2026_11_28_01")
    first = digest_campaign(folder)
    assert list(first) == sorted(FILES)
    assert digest_campaign(mount(folder, "2026_11_29_02")) == first
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("..")) == ["..2026_11_29_02", "..data"]


def mount_all(campaigns: Path, stamp: str) -> Path:
    """Mount a ConfigMap with items such as `{key: a, path: welcome/campaign.toml}`: a campaign's folder is a link."""
    texts = {"campaign.toml": TOML + 'text = "b.j2"\n', "b.j2": "{% include '_shared/x.j2' %}"}
    for name, text in {"_shared/x.j2": "shared", **{f"welcome/{name}": text for name, text in texts.items()}}.items():
        (campaigns / stamp / name).parent.mkdir(parents=True, exist_ok=True)
        (campaigns / stamp / name).write_text(text, encoding="utf-8")
    (campaigns / "..data_tmp").symlink_to(stamp)
    (campaigns / "..data_tmp").rename(campaigns / "..data")
    for name in ("welcome", "_shared"):
        if not (campaigns / name).is_symlink():
            (campaigns / name).symlink_to(f"..data/{name}")
    return campaigns / "welcome"


def test_a_volume_may_hold_all_campaigns_and_what_they_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mount_all(tmp_path / "campaigns", "..2026_11_28_01")
    assert render(load_campaign(folder)).text == "shared"
    listed = ["_shared/x.j2", "b.j2", "campaign.toml"]
    assert list(list_files(folder)) == listed
    find_real, looks = files._find_real, []

    def look_then_mount(*given: Any, **named: Any) -> Path:
        looks.append(given)
        if len(looks) == 1:
            mount_all(tmp_path / "campaigns", "..2026_11_29_02")
        return find_real(*given, **named)

    monkeypatch.setattr(files, "_find_real", look_then_mount)
    assert list(list_files(folder)) == listed
    assert len(looks) > len(listed)


@pytest.mark.parametrize(
    "name",
    [".env", ".git/config", "..data/body.j2", "body.j2~", "#body.j2#", ".#body.j2", ".body.j2.swp", "body.j2.bak",
     "~$terms.docx", ".~lock.terms.odt#", "Thumbs.db", ".DS_Store", "desktop.ini", "4913", "img/.hidden.png", "x.orig",
     "__pycache__/x.pyc", "body.j2___jb_tmp___"],
)  # fmt: skip
def test_files_that_programs_leave_behind_are_not_part_of_a_campaign(tmp_path: Path, name: str) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    before = digest_campaign(campaign.folder)
    path = campaign.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("left over", encoding="utf-8")
    assert digest_campaign(campaign.folder) == before
    copy_files(campaign.folder, tmp_path / "copy")
    assert sorted(digest_tree(tmp_path / "copy")) == ["b.j2", "campaign.toml"]
    assert not is_part(name)
    assert resolve_file(campaign.folder, name) is None
    with pytest.raises(ConfigurationError, match="hidden, backup or lock"):
        parse_spec(f'{TOML}text = "b.j2"\nattachments = ["{name}"]\n', file="campaign.toml")
    write_campaign(tmp_path, {"b.j2": f"{{% include '{name}' %}}"}, 'text = "b.j2"')
    with pytest.raises(DataError, match="rename it"):
        compile_content(campaign)


def test_links_to_folders_are_followed_inside_the_campaign(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "{% include 'two/a.j2' %}", "one/a.j2": "A"}, 'text = "b.j2"')
    (campaign.folder / "two").symlink_to("one")
    (campaign.folder / "one" / "around").symlink_to("..")
    assert list(list_files(campaign.folder)) == ["b.j2", "campaign.toml", "one/a.j2", "two/a.j2"]
    assert render(campaign).text == "A"


def make_odd(path: Path, kind: str) -> Iterator[str]:
    """Put something at a path that is not a regular file inside; yields the words that name it."""
    outside = path.parent.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text("a secret", encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "out":
                path.symlink_to(outside / "secret.txt")
                yield "is a symbolic link that leads out of the campaign's folder"
            case "environ":
                path.symlink_to("/proc/self/environ")
                yield "is a symbolic link that leads out of the campaign's folder"
            case "folder":
                path.symlink_to(outside)
                yield "is a symbolic link that leads out of the campaign's folder"
            case "device":
                path.symlink_to("/dev/zero")
                yield "is a symbolic link that leads out of the campaign's folder"
            case "pipe":
                os.mkfifo(path)
                yield "is a named pipe"
            case "socket":
                listener.bind(os.path.relpath(path))  # its name may have 107 bytes
                yield "is a socket"
            case "nothing":
                path.symlink_to("nowhere")
                yield "is a broken symbolic link"
            case "loop":
                path.symlink_to(path.name)
                yield "is a loop of symbolic links"
            case "hidden":
                (path.parent / ".env").write_text("KEY=a secret", encoding="utf-8")
                path.symlink_to(".env")
                yield "is a symbolic link to a hidden file"


ODD = ["out", "environ", "folder", "device", "pipe", "socket", "nothing", "loop", "hidden"]


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["odd.txt", "_shared/odd.txt"])
def test_what_is_not_a_regular_file_inside_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    campaign = write_campaign(tmp_path, {"b.j2": "Hi", "_shared/x.j2": "x"}, 'text = "b.j2"')
    odd = campaign.folder.parent / (name if "/" in name else f"welcome/{name}")
    for words in make_odd(odd, kind):
        refused = rf"{name}.* {words}"
        for reads in (compile_content, prepare_nothing, lambda c: copy_files(c.folder, tmp_path / "copy")):
            with pytest.raises(DataError, match=refused) as error:
                reads(campaign)
            assert "secret" not in str(error.value)
    assert not (tmp_path / "copy").exists()


def prepare_nothing(campaign: Campaign) -> None:
    digest_campaign(campaign.folder)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    ("texts", "content"),
    [({"b.j2": "{% include 'odd.txt' %}"}, 'text = "b.j2"'), ({"x.j2": "Hi"}, 'text = "odd.txt"'),
     ({"b.j2": "{% extends '_shared/odd.txt' %}", "_shared/x.j2": "x"}, 'text = "b.j2"'),
     ({"b.j2": "{% import 'odd.txt' as x %}"}, 'text = "b.j2"'),
     ({"b.j2": "Hi"}, 'text = "b.j2"\nattachments = ["odd.txt"]'),
     ({"b.j2": "Hi"}, 'text = "b.j2"\ninline = ["odd.txt"]')],
)  # fmt: skip
def test_nothing_is_read_that_is_not_a_regular_file_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], content: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    campaign = write_campaign(tmp_path, texts, content)
    shared = "_shared/x.j2" in texts
    odd = campaign.folder.parent / "_shared" / "odd.txt" if shared else campaign.folder / "odd.txt"
    for words in make_odd(odd, kind):
        with pytest.raises(DataError, match=rf"odd.txt {words}"):
            prepare_envelope(campaign) if "[" in content else compile_content(campaign)


@pytest.mark.parametrize("kind", ODD)
def test_a_campaign_toml_that_is_not_a_regular_file_inside_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    (campaign.folder / "campaign.toml").unlink()
    for words in make_odd(campaign.folder / "campaign.toml", kind):
        with pytest.raises(ConfigurationError, match=rf"campaign.toml {words}"):
            load_campaign(campaign.folder)


def test_a_shared_folder_outside_the_folder_of_the_campaigns_is_refused(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.j2").write_text("a secret", encoding="utf-8")
    (tmp_path / "campaigns" / "_shared").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match="_shared is a symbolic link that leads out"):
        list_files(campaign.folder)
    with pytest.raises(DataError, match=r"_shared/x\.j2 is a symbolic link that leads out"):
        read_file(campaign.folder, "_shared/x.j2")


def test_a_link_to_a_shared_file_is_read_and_frozen_as_a_file(tmp_path: Path) -> None:
    texts = {"b.j2": "{% include 'part.j2' %}", "_shared/part.j2": "shared"}
    campaign = write_campaign(tmp_path, texts, 'text = "b.j2"')
    (campaign.folder / "part.j2").symlink_to("../_shared/part.j2")
    assert render(campaign).text == "shared"
    copy_files(campaign.folder, tmp_path / "copy")
    assert not (tmp_path / "copy" / "part.j2").is_symlink()
    assert digest_tree(tmp_path / "copy") == digest_campaign(campaign.folder)


@pytest.mark.parametrize("swapped", ["part.txt", "img"])
def test_link_created_after_the_check_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """Between the look at the real name and the opening, a file or a folder on the way becomes a link out."""
    campaign = write_campaign(tmp_path, {"part.txt": "own", "img/part.txt": "own"}, 'text = "part.txt"')
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "part.txt").write_text("a secret", encoding="utf-8")
    name = "part.txt" if swapped == "part.txt" else "img/part.txt"
    path, looks = list_files(campaign.folder)[name], []
    find_real = files._find_real

    def look_then_swap(*given: Any, **named: Any) -> Path:
        real = find_real(*given, **named)
        looks.append(real)
        if len(looks) == 1:
            (campaign.folder / swapped).rename(tmp_path / "aside")
            (campaign.folder / swapped).symlink_to(outside / "part.txt" if swapped == "part.txt" else outside)
        return real

    monkeypatch.setattr(files, "_find_real", look_then_swap)
    with pytest.raises(DataError, match="leads out of the campaign's folder"):
        files.open_file(campaign.folder, name, path)
    assert looks


def test_a_volume_that_is_mounted_again_while_it_is_copied_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mount(tmp_path / "campaigns" / "welcome", "2026_11_28_01")
    find_real, looks = files._find_real, []

    def look_then_mount(*given: Any, **named: Any) -> Path:
        real = find_real(*given, **named)
        looks.append(real)
        if len(looks) == 5:
            mount(folder, "2026_11_29_02")
        return real

    monkeypatch.setattr(files, "_find_real", look_then_mount)
    copy_files(folder, tmp_path / "copy")
    assert len(looks) > 5
    assert {name: (tmp_path / "copy" / name).read_text(encoding="utf-8") for name in FILES} == FILES


def test_copy_never_makes_the_folder_around_it_again(tmp_path: Path) -> None:
    """Planning that was stopped may still be copying after its folder was removed."""
    campaign = write_campaign(tmp_path, {"deep/er/text.j2": "x"}, 'text = "deep/er/text.j2"')
    with pytest.raises(FileNotFoundError):
        copy_files(campaign.folder, tmp_path / "removed" / "copy")
    assert not (tmp_path / "removed").exists()
    (tmp_path / "kept").mkdir()
    copy_files(campaign.folder, tmp_path / "kept" / "copy")
    assert (tmp_path / "kept" / "copy" / "deep" / "er" / "text.j2").read_text() == "x"


def test_a_copy_is_private_and_overwrites_nothing(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    (campaign.folder / "b.j2").chmod(0o444)
    copy_files(campaign.folder, tmp_path / "copy")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "copy").iterdir()} == {0o600}
    with pytest.raises(FileExistsError):
        copy_files(campaign.folder, tmp_path / "copy")


def test_links_that_multiply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MOST_FOLDERS", 20)
    campaign = write_campaign(tmp_path, {f"d{i}/x.txt": "x" for i in range(4)}, 'text = "d0/x.txt"')
    for one in range(4):
        for other in range(4):
            (campaign.folder / f"d{one}" / f"to{other}").symlink_to(f"../d{other}")
    with pytest.raises(DataError, match="more than 20 folders"):
        list_files(campaign.folder)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nerror: forged.txt", r"a\x0aerror: forged.txt"), ("a\u202etxt.exe", r"a\x202etxt.exe"),
     ("a\x1b[2J", r"a\x1b[2J")],
)  # fmt: skip
def test_a_name_with_control_characters_is_one_line_of_an_error(tmp_path: Path, name: str, shown: str) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    os.mkfifo(campaign.folder / name)
    for reads in (lambda: list_files(campaign.folder), lambda: read_file(campaign.folder, name)):
        with pytest.raises(DataError) as error:
            reads()
        assert error.value.what == f"{shown} is a named pipe"
        assert error.value.where.isprintable()


def test_a_path_that_is_too_long_is_refused_and_not_followed(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    (campaign.folder / "/".join(["folder in a folder"] * 100)).mkdir(parents=True)
    with pytest.raises(DataError, match=r"^folder in a folder/.*… is a path of more than 1,000 bytes") as error:
        copy_files(campaign.folder, tmp_path / "copy")
    assert len(error.value.what) < 400


def test_files_that_are_too_large_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi", "_shared/x.j2": "x"}, 'text = "b.j2"')
    with (campaign.folder / "holes.psd").open("wb") as file:
        file.truncate(2 << 40)  # takes no room
    monkeypatch.setattr(files, "open_file", lambda *_: pytest.fail("it was opened"))
    for reads in (list_files, digest_campaign, lambda folder: copy_files(folder, tmp_path / "copy")):
        with pytest.raises(
            DataError, match=r"^holes\.psd is too large: 2,097,152 MB, and .* together may have at most 1,024 MB"
        ):
            reads(campaign.folder)
    assert list(files.find_files(campaign.folder).files) == ["_shared/x.j2", "b.j2", "campaign.toml"]


def test_a_file_that_grows_while_it_is_copied_ends_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi", "grows.txt": "x"}, 'text = "b.j2"')
    found = list_files(campaign.folder)
    monkeypatch.setattr(files, "list_files", lambda _: found)
    monkeypatch.setattr(files, "_MOST_BYTES", 3 << 20)
    with (campaign.folder / "grows.txt").open("wb") as file:
        file.truncate(64 << 20)
    with pytest.raises(DataError, match=r"grows\.txt grew"):
        copy_files(campaign.folder, tmp_path / "copy")
    assert (tmp_path / "copy" / "grows.txt").stat().st_size <= 4 << 20


def test_a_file_that_no_message_can_hold_is_not_kept_in_memory(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi"}, 'text = "b.j2"')
    with (campaign.folder / "large.pdf").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(DataError, match=r"large\.pdf is larger than 64 MB"):
        read_file(campaign.folder, "large.pdf")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi", "img/x.png": "x"}, 'text = "b.j2"')
    listed = Path.iterdir

    def refuse(self: Path) -> Iterator[Path]:  # the user who runs the tests may read every folder
        if self.name == "img":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"^img is a folder that cannot be read: Permission denied"):
        list_files(campaign.folder)


def test_changes_report_refusals_and_continue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = write_campaign(tmp_path, {"b.j2": "Hi", "c.j2": "x"}, 'text = "b.j2"')
    manifest = SimpleNamespace(
        campaign_from="campaigns/welcome", campaign_files=digest_campaign(campaign.folder), sources=()
    )
    (campaign.folder / "c.j2").unlink()
    (campaign.folder / "c.j2").symlink_to("/proc/self/environ")
    os.mkfifo(campaign.folder / "d\nerror: forged")
    (campaign.folder / ".env").write_text("KEY=1", encoding="utf-8")
    changes = find_changes(cast(Manifest, manifest), tmp_path)
    assert changes == [
        "campaigns/welcome/c.j2 is a symbolic link that leads out of the campaign's folder: it is not read",
        r"campaigns/welcome/d\x0aerror: forged is a named pipe: it is not read",
    ]
    monkeypatch.setattr(files, "_MOST_FOLDERS", 0)
    assert find_changes(cast(Manifest, manifest), tmp_path) == [
        (
            "campaigns/welcome is not read: "
            "there are more than 0 folders, counting each path to them through symbolic links"
        )
    ]
