"""A camera that speaks RTSP, as a process of its own: python rtsp_camera.py PORT (0: any).

Its first line is its port. Killed, it is gone as a camera is whose power fails.
"""

import sys
import warnings

with warnings.catch_warnings():
    # As in dscore_agent.pipeline.gst.
    warnings.simplefilter("ignore")
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

LAUNCH = (
    "( videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 "
    "! x264enc tune=zerolatency key-int-max=10 ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def main(port: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(LAUNCH)
    server.get_mount_points().add_factory("/cam", factory)
    assert server.attach(None), "the port is taken"
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
