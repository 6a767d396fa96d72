import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from carillon.inference import (
    DuplicateModel,
    ModelBroken,
    ModelCatalog,
    ModelNotFound,
    Models,
    ModelSettings,
    ModelUnsupported,
    NotInstalled,
)
from carillon.inference.catalog import PACKAGED, installed_folder, read_manifest


def _plug_in(folder: Path, model: str = "wespeaker_resnet34_lm", **changes: str) -> None:
    """Copy a packaged model into an operator's folder under the id `mine`, with some lines of its manifest changed."""
    manifest = (PACKAGED / f"{model}.toml").read_text()
    changes = {"id": '"mine"', **changes}
    for line in manifest.splitlines():
        key = line.partition(" = ")[0]
        if key in changes:
            manifest = manifest.replace(line, f"{key} = {changes[key]}", 1)
    (folder / f"{model}.toml").write_text(manifest)
    shutil.copy(PACKAGED / f"{model}.onnx", folder)


def test_every_packaged_model_has_the_hash_license_and_credit_that_its_manifest_says() -> None:
    catalog = ModelCatalog()
    for manifest in catalog.manifests():
        weights = catalog.find(manifest.id, manifest.kind)
        assert hashlib.sha256(weights.read()).hexdigest() == manifest.sha256
        assert all(weights.part(name).read() for name in manifest.parts)
        assert manifest.license in {"MIT", "Apache-2.0", "CC-BY-4.0"}
        assert manifest.attribution


def test_no_weights_travel_without_a_manifest() -> None:
    described = {manifest.file for manifest in ModelCatalog().manifests() if not manifest.package}
    assert {path.name for path in PACKAGED.glob("*.onnx")} == described


def test_an_operator_plugs_in_a_model_of_their_own(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    models = Models(ModelSettings(directory=str(tmp_path), speaker="mine"))
    assert models.speaker.id == "mine"
    assert models.vad.id == ModelSettings().vad


def test_an_unknown_model_is_named_beside_those_there_are() -> None:
    with pytest.raises(ModelNotFound, match=r"no speaker model 'nobody'.*wespeaker-resnet34-lm-by-band"):
        Models(ModelSettings(speaker="nobody"))


def test_a_model_of_another_kind_is_not_found() -> None:
    with pytest.raises(ModelNotFound):
        ModelCatalog().find(ModelSettings().vad, "speaker")


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    with (tmp_path / "wespeaker_resnet34_lm.onnx").open("ab") as file:
        file.write(b"\0")
    models = Models(ModelSettings(directory=str(tmp_path), speaker="mine"))
    with pytest.raises(ModelBroken, match="SHA-256"):
        assert models.speaker


def test_missing_weights_are_named(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    (tmp_path / "wespeaker_resnet34_lm.onnx").unlink()
    with pytest.raises(ModelBroken, match="cannot be read"):
        assert Models(ModelSettings(directory=str(tmp_path), speaker="mine")).speaker


def test_weights_that_are_no_graph_are_refused(tmp_path: Path) -> None:
    _plug_in(tmp_path, sha256=f'"{hashlib.sha256(b"no graph").hexdigest()}"')
    (tmp_path / "wespeaker_resnet34_lm.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelBroken, match="cannot load"):
        assert Models(ModelSettings(directory=str(tmp_path), speaker="mine")).speaker


def test_two_models_cannot_have_one_id(tmp_path: Path) -> None:
    _plug_in(tmp_path, id='"wespeaker-resnet34-lm-by-band"')
    with pytest.raises(DuplicateModel, match="another id"):
        ModelCatalog(tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": '"singer"'}, "kind"),
        ({"format": "7"}, "format"),
        ({"file": '"../elsewhere.onnx"'}, "same folder"),
        ({"sample_rate": "8000"}, "sample_rate"),
        ({"license": '"MIT"\nlicenses = "MIT"'}, "licenses"),
        ({"version": ""}, "cannot be used"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_and_the_field_named(
    tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    _plug_in(tmp_path, **changes)
    with pytest.raises(ModelBroken, match=complaint):
        read_manifest(tmp_path / "wespeaker_resnet34_lm.toml")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="no such folder"):
        ModelCatalog(tmp_path / "models")


def test_a_front_end_that_we_cannot_compute_is_named(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    path = tmp_path / "wespeaker_resnet34_lm.toml"
    path.write_text(path.read_text().replace('what = "fbank"', 'what = "nemo_mel"'))
    with pytest.raises(ModelUnsupported, match="nemo_mel"):
        assert Models(ModelSettings(directory=str(tmp_path), speaker="mine")).speaker


def test_an_output_that_the_graph_lacks_is_named(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    path = tmp_path / "wespeaker_resnet34_lm.toml"
    path.write_text(path.read_text().replace('name = "embedding"', 'name = "xvector"'))
    with pytest.raises(ModelBroken, match="xvector"):
        assert Models(ModelSettings(directory=str(tmp_path), speaker="mine")).speaker


def test_weights_may_be_in_a_package_that_an_extra_installs(tmp_path: Path) -> None:
    folder = tmp_path / "weights_of_mine" / "deep"
    folder.mkdir(parents=True)
    shutil.copy(PACKAGED / "wespeaker_resnet34_lm.onnx", folder)
    _plug_in(tmp_path, version='"2"\npackage = "weights_of_mine/deep"\nextra = "mine"')
    installed = ModelCatalog(tmp_path, {"weights_of_mine": tmp_path / "weights_of_mine"}.get)
    assert installed.find("mine", "speaker").read()
    with pytest.raises(NotInstalled, match=r"'mine' needs the package 'weights_of_mine'.*carillon-voice\[mine\]"):
        ModelCatalog(tmp_path, lambda _: None).find("mine", "speaker")


@pytest.mark.parametrize("package", ["weights/../../elsewhere", "weights"])
def test_a_package_must_have_an_extra_and_stay_in_its_folder(tmp_path: Path, package: str) -> None:
    extra = '\nextra = "mine"' if ".." in package else ""
    _plug_in(tmp_path, version=f'"2"\npackage = "{package}"{extra}')
    with pytest.raises(ModelBroken, match="package"):
        ModelCatalog(tmp_path)


def test_a_part_must_be_a_name_in_the_same_folder(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    path = tmp_path / "wespeaker_resnet34_lm.toml"
    path.write_text(path.read_text() + '\n[parts.more]\nfile = "../more"\nsha256 = ""\n')
    with pytest.raises(ModelBroken, match="same folder"):
        ModelCatalog(tmp_path)


def test_a_part_that_was_changed_is_refused(tmp_path: Path) -> None:
    _plug_in(tmp_path)
    path = tmp_path / "wespeaker_resnet34_lm.toml"
    path.write_text(path.read_text() + '\n[parts.more]\nfile = "more"\nsha256 = "00"\n')
    (tmp_path / "more").write_bytes(b"more")
    weights = ModelCatalog(tmp_path).find("mine", "speaker")
    with pytest.raises(ModelBroken, match="SHA-256"):
        weights.part("more").read()
    with pytest.raises(ModelBroken, match=r"parts\.less"):
        weights.part("less")


def test_a_package_is_found_without_being_imported() -> None:
    assert installed_folder("no_package_has_this_name") is None
    folder = installed_folder("antigravity")  # which opens a web browser when it is imported
    assert folder is not None
    assert (folder / "antigravity.py").exists()
    assert "antigravity" not in sys.modules
