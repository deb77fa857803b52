//! The exchange on tokio-tungstenite: one task for each agent, told through a channel.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use dscore_bench_peers::{Answer, Exchange, GOODBYE, listen, stopped};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Of each connection; the default of 128 KiB is not for fleets with short messages.
const READ_BUFFER: usize = 4096;

type Agents = Exchange<UnboundedSender<String>>;

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let exchange = Arc::new(Agents::new());
    let listener = listen()?;
    tokio::select! {
        ended = accept(&listener, &exchange) => ended?,
        ended = stopped() => ended?,
    }
    for (sender, text) in exchange.terminate() {
        // An error here is an agent that has gone.
        let _ = sender.send(text);
    }
    Ok(exchange.wait().await.into())
}

async fn accept(listener: &TcpListener, exchange: &Arc<Agents>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let exchange = exchange.clone();
        tokio::spawn(async move {
            let mut id = None;
            // An error here is an end like any other.
            let _ = talk(stream, &exchange, &mut id).await;
            exchange.gone(id);
        });
    }
}

async fn talk(stream: TcpStream, exchange: &Agents, id: &mut Option<String>) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    let (sender, mut orders) = unbounded_channel();
    loop {
        tokio::select! {
            message = socket.next() => match message.transpose()? {
                None => return Ok(()),
                Some(Message::Text(text)) => match exchange.hear(id, &sender, text.as_bytes()) {
                    Answer::Nothing => {}
                    Answer::Send(answer) => socket.send(Message::text(answer)).await?,
                    Answer::Close => {
                        let code = CloseCode::Normal;
                        socket.close(Some(CloseFrame { code, reason: GOODBYE.into() })).await?;
                    }
                },
                Some(_) => {}
            },
            Some(text) = orders.recv() => socket.send(Message::text(text)).await?,
        }
    }
}
