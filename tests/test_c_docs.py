"""What docs/deepstream-app.md has a reader paste compiles where it is to stand."""

import re
import subprocess
from pathlib import Path

from c_client import ROOT, needs_c

pytestmark = needs_c

PAGE = (ROOT / "docs" / "deepstream-app.md").read_text()
MAX_LINES = 15

# The names that the lines meet there, and nothing else of it.
SURROUNDINGS = """
#include <gst/gst.h>
typedef struct {{ guint index; struct {{ GstElement *pipeline; }} pipeline; }} AppCtx;
{header}
static GMainLoop *main_loop;
static void create_pipeline (AppCtx *appCtx) {{ {create} }}
static void destroy_pipeline (AppCtx *appCtx) {{ {destroy} }}
{above}
int main (void)
{{
  GError *error = NULL;
  AppCtx context = {{ 0 }};
  {begin}
  create_pipeline (&context);
  g_main_loop_run (main_loop);
  {end}
  destroy_pipeline (&context);
  return dscore_code;
}}
"""


def blocks() -> list[str]:
    return re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)


def test_the_lines_of_the_patch_compile(c_gst_build: Path, tmp_path: Path) -> None:
    header, create, destroy, above, begin, end = blocks()
    source = tmp_path / "patched.c"
    source.write_text(
        SURROUNDINGS.format(
            header=header, create=create, destroy=destroy, above=above, begin=begin, end=end
        )
    )
    packages = ["gstreamer-1.0", "json-glib-1.0"]
    flags = subprocess.run(
        ["pkg-config", "--cflags", *packages], capture_output=True, text=True, check=True
    ).stdout.split()
    includes = [f"-I{ROOT / 'clients' / 'c' / part}" for part in ("src", "gst")]
    command = ["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    done = subprocess.run(
        [*command, *flags, *includes, "-fsyntax-only", str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_patch_is_as_short_as_it_says() -> None:
    lines = [line for block in blocks() for line in block.splitlines()]
    assert len(lines) <= MAX_LINES
