"""The chart in packaging/ as Helm renders it; run as a program it writes the golden files anew."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
HELM = ROOT / "build" / "helm" / "helm"
CHART = ROOT / "packaging" / "helm" / "dscore"
GOLDEN = Path(__file__).parent / "golden" / "helm"
VALUES = sorted(GOLDEN.glob("*.values.yaml"))


def golden(values: Path) -> Path:
    """What these values render to."""
    return values.with_name(values.name.replace(".values.yaml", ".yaml"))


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs it for the oldest Kubernetes of the chart: built from source it assumes 1.20."""
    return subprocess.run(
        [HELM, *words, "--kube-version", "1.25.0"], capture_output=True, text=True, timeout=60
    )


def rendered(values: Path) -> str:
    """The manifests of the release `fleet`."""
    done = helm("template", "fleet", CHART, "--namespace", "video", "--values", values)
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    for one in VALUES:
        golden(one).write_text(rendered(one))
