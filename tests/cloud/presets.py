"""The policy sets in presets/, as `sam deploy --config-file` reads them."""

import shlex
import tomllib

from processes import ROOT


def parameters(name):
    """The parameters of the template that a preset sets."""
    preset = tomllib.loads((ROOT / "presets" / f"{name}.toml").read_text())
    overrides = preset["default"]["deploy"]["parameters"]["parameter_overrides"]
    return dict(shlex.split(it)[0].split("=", 1) for it in overrides)
