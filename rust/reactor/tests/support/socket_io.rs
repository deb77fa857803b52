//! Socket.IO clients on each transport.

use dscore_traffic::ConnId;
use dscore_traffic::event::Event;

use super::Server;
use super::engine_io::Caller;

/// Where agents speak it.
pub const AGENTS: &str = "/socket.io/";

/// A client on each transport that has joined "/".
pub fn joined(server: &mut Server, path: &str) -> [(Caller, ConnId); 2] {
    Caller::both(server.address(), path).map(|mut caller| {
        caller.say("40");
        assert!(caller.hear().starts_with(r#"40{"sid":""#));
        let conn = server.wait("join", |event| match event {
            Event::Connected(connected) => {
                assert_eq!((&*connected.namespace, &*connected.auth), ("/", &b""[..]));
                Some(connected.conn)
            }
            _ => None,
        });
        (caller, conn)
    })
}

/// An agent on each transport that was accepted.
pub fn agents(server: &mut Server) -> [(Caller, ConnId); 2] {
    joined(server, AGENTS).map(|(mut caller, conn)| {
        caller.say(r#"42["app_ready",{"instance_id":"a"}]"#);
        assert_eq!(server.introduction(), conn);
        server.accept(conn, "a", &[r#"{"type":"app_ready_ack","status":"ok"}"#]);
        assert_eq!(caller.hear(), r#"42["app_ready_ack",{"status":"ok"}]"#);
        (caller, conn)
    })
}
