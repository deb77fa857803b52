"""A GStreamer program with a GLib main loop, as DeepStream's own samples are, under an agent.

python -m dscore serve                      # in one terminal
python examples/agent_glib.py out.mp4       # in another one
python -m dscore terminate --all --yes      # in a third one: out.mp4 plays to its last frame

Three lines are the agent's, marked (1) to (3); with (4) and (5) SIGTERM and ctrl-C finish the
recording, too.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402 (after require_version)

from dscore_agent import embed  # noqa: E402 (1)


def main(path: str) -> int:
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "videotestsrc is-live=true ! x264enc tune=zerolatency ! mp4mux ! filesink name=file"
    )
    # Not in the launch string: a path may have blanks and quotes.
    pipeline.get_by_name("file").set_property("location", path)
    loop = GLib.MainLoop()
    failures = []

    def on_message(_bus: Gst.Bus, message: Gst.Message) -> None:
        if message.type == Gst.MessageType.ERROR:
            failures.append(message.parse_error()[0].message)
        if message.type in (Gst.MessageType.ERROR, Gst.MessageType.EOS):
            loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)

    agent = embed.start(pipeline=pipeline, on_exit=lambda code: loop.quit())  # (2)
    for number in (signal.SIGTERM, signal.SIGINT):  # (4)
        signal.signal(number, lambda number, _: agent.stop(signal.Signals(number).name))  # (5)
    pipeline.set_state(Gst.State.PLAYING)
    print("playing", flush=True)
    loop.run()
    agent.close()  # (3)

    pipeline.set_state(Gst.State.NULL)
    print(failures[0] if failures else "done", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["out.mp4"]))
