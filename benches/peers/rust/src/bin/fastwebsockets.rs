//! The exchange on fastwebsockets and hyper: one task for each agent, its writing half shared.

use std::convert::Infallible;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use dscore_bench_peers::{Answer, Exchange, GOODBYE, listen, stopped};
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, WebSocketWrite,
};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::WriteHalf;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

type Writer = Arc<Mutex<WebSocketWrite<WriteHalf<TokioIo<Upgraded>>>>>;
type Agents = Exchange<Writer>;

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let exchange = Arc::new(Agents::new());
    let listener = listen()?;
    tokio::select! {
        ended = accept(&listener, &exchange) => ended?,
        ended = stopped() => ended?,
    }
    for (writer, text) in exchange.terminate() {
        // An error here is an agent that has gone.
        let _ = send(&writer, &text).await;
    }
    Ok(exchange.wait().await.into())
}

async fn accept(listener: &TcpListener, exchange: &Arc<Agents>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let exchange = exchange.clone();
        let service = service_fn(move |request| {
            let exchange = exchange.clone();
            async move { Ok::<_, Infallible>(answer(request, exchange)) }
        });
        tokio::spawn(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(),
        );
    }
}

fn answer(mut request: Request<Incoming>, exchange: Arc<Agents>) -> Response<Empty<Bytes>> {
    match upgrade(&mut request) {
        Ok((response, upgraded)) => {
            tokio::spawn(async move {
                let mut id = None;
                // An error here is an end like any other.
                let _ = talk(upgraded, &exchange, &mut id).await;
                exchange.gone(id);
            });
            response
        }
        Err(_) => {
            let mut refusal = Response::new(Empty::new());
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            refusal
        }
    }
}

async fn talk(
    upgraded: UpgradeFut,
    exchange: &Agents,
    id: &mut Option<String>,
) -> Result<(), WebSocketError> {
    let (reader, writer) = upgraded.await?.split(tokio::io::split);
    let mut reader = FragmentCollectorRead::new(reader);
    let writer = Arc::new(Mutex::new(writer));
    loop {
        let mut obligation = |frame| {
            let writer = writer.clone();
            async move { writer.lock().await.write_frame(frame).await }
        };
        let frame = reader.read_frame(&mut obligation).await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text => match exchange.hear(id, &writer, &frame.payload) {
                Answer::Nothing => {}
                Answer::Send(text) => send(&writer, &text).await?,
                Answer::Close => {
                    let close = Frame::close(1000, GOODBYE.as_bytes());
                    writer.lock().await.write_frame(close).await?;
                }
            },
            _ => {}
        }
    }
}

async fn send(writer: &Writer, text: &str) -> Result<(), WebSocketError> {
    let frame = Frame::text(Payload::Borrowed(text.as_bytes()));
    writer.lock().await.write_frame(frame).await
}
