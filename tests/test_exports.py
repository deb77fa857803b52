import subprocess
import sys

import dscore


def test_every_public_name_is_there() -> None:
    for name in dscore.__all__:
        assert getattr(dscore, name) is not None
    assert dir(dscore) == sorted(dscore.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dscore, "nonsense")


def test_importing_the_package_loads_neither_the_core_nor_the_pages() -> None:
    code = (
        "import sys, dscore; print([m for m in sys.modules if m.startswith(('dscore.', 'fast'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
