"""The C client from Python, through GObject introspection: a camera, recorded under an agent.

python -m dscore serve                             # in one terminal
python clients/c/examples/recorder.py out.mp4      # in another one
python -m dscore terminate --all --yes             # in a third one: out.mp4 plays to its last frame

It needs the libraries and their typelibs where the loader finds them: after `meson install`, or
with LD_LIBRARY_PATH and GI_TYPELIB_PATH set to build/c/src:build/c/gst. Python needs gi: that of
Debian, /usr/bin/python3, has it from python3-gi. Nothing of dscore's Python packages is used.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("Dscore", "1.0")
gi.require_version("DscoreGst", "1.0")
from gi.repository import Dscore, DscoreGst, GLib, Gst  # noqa: E402 (after require_version)


def main(path: str) -> int:
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "videotestsrc is-live=true ! x264enc tune=zerolatency ! mp4mux ! filesink name=file"
    )
    # Not in the launch string: a path may have blanks and quotes.
    pipeline.get_by_name("file").set_property("location", path)
    loop = GLib.MainLoop()

    agent = Dscore.Agent.new(Dscore.Config.load(None))  # DSCORE_AGENT_* says where the server is.
    binding = DscoreGst.Binding.new(agent)
    binding.add(pipeline, "recorder")
    agent.connect("exited", lambda _agent, _code: loop.quit())
    agent.watch_signals()
    agent.start()

    pipeline.set_state(Gst.State.PLAYING)
    print("playing", flush=True)
    loop.run()
    code = agent.close(10 * GLib.USEC_PER_SEC)
    pipeline.set_state(Gst.State.NULL)
    print("done", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["out.mp4"]))
