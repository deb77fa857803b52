"""GStreamer for Python, loaded once: the one place that imports `gi`.

Raises:
    ImportError: GStreamer's Python binding is not there; says what to install.
"""

import warnings

REMEDY = (
    "GStreamer for Python is missing ({cause}). Debian, Ubuntu, Jetson: apt install python3-gi "
    "gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good. In a virtual "
    "environment: make it with --system-site-packages, or see docs/agent.md"
)

try:
    with warnings.catch_warnings():
        # The import hook of older PyGObjects has a form that newer Pythons warn of.
        warnings.simplefilter("ignore")
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import GLib, GObject, Gst
except (ImportError, ValueError) as error:
    raise ImportError(REMEDY.format(cause=error)) from error

# Programs that embed the agent have done so already, with arguments of their own.
if not Gst.is_initialized():
    Gst.init(None)

__all__ = ["GLib", "GObject", "Gst"]
