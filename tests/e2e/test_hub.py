"""The Hub's plugin definition, added to an empty Meltano project without the Hub."""

from __future__ import annotations

import subprocess
import typing as t

import yaml
from medchat_swell_sandbox import Dataset, Sandbox

from .tools import ROOT, TOOLS, MeltanoProject

if t.TYPE_CHECKING:
    from pathlib import Path

DEFINITION = ROOT / "hub" / "tap-medchat-swell.yml"
# The Hub's own words for these: its JSON schema refuses others.
KINDS = {"array", "boolean", "date_iso8601", "integer", "object", "options", "string"}
SETTING_KEYS = {"description", "kind", "label", "name", "options", "placeholder", "sensitive"}
STATUSES = {"active", "beta", "development", "inactive", "unknown"}
QUALITIES = {"gold", "silver", "bronze", "unknown"}
CAPABILITIES = {"about", "catalog", "discover", "schema-flattening", "state", "stream-maps"}


def test_the_definition_is_one_that_the_hub_takes() -> None:
    definition = yaml.safe_load(DEFINITION.read_text("utf-8"))

    assert {"name", "namespace", "variant", "label"} <= definition.keys()
    assert definition["maintenance_status"] in STATUSES
    assert definition["quality"] in QUALITIES
    assert set(definition["capabilities"]) == CAPABILITIES | {"structured-logging"}
    for setting in definition["settings"]:
        assert setting["kind"] in KINDS
        assert setting.keys() <= SETTING_KEYS | {"value"}
    assert "OWNER" not in DEFINITION.read_text("utf-8")


def test_it_is_added_installed_and_run(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    build = (TOOLS / "uv/bin/uv", "build", "--quiet", "--wheel", "--out-dir", wheels)
    subprocess.run(
        [*build, "--no-build-isolation", "--python", ROOT / ".venv"], cwd=ROOT, check=True
    )
    (tmp_path / "meltano.yml").write_text("environments: [{name: sandbox}]\n", "utf-8")
    project = MeltanoProject(tmp_path, tmp_path / "meltano.db", {"UV_FIND_LINKS": str(wheels)})

    project.meltano("add", "tap-medchat-swell", f"--from-ref={DEFINITION}")
    with Sandbox(Dataset.generate(seed=3, chats=5, swell_messages=5, days=10)) as sandbox:
        project.point_at(sandbox, "tap-medchat-swell")
        output = project.meltano("invoke", "tap-medchat-swell")

    assert output.count('{"type":"RECORD","stream":"sms_chats"') == 5
