//! A unix socket that gives the last snapshot, and then each new one, as [`json_line`]. A client that reads
//! slowly misses snapshots, and one that does not read at all is disconnected.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::unix_socket::UnixSocket;
use super::{Snapshots, SocketError, json_line};

/// Clients at one time. One more is disconnected at once.
const MAX_CLIENTS: usize = 32;

/// A client must take a line within this time.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The pause after an accept that failed, which is for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// A listening socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct SnapshotSocket(UnixSocket);

impl SnapshotSocket {
    /// Listens at `path`. A socket that no process listens on any more is replaced.
    ///
    /// # Errors
    /// Something else is there, or the system refuses it.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        UnixSocket::bind(path).await.map(Self)
    }

    /// Serves clients until nothing more is published.
    pub async fn serve(self, mut snapshots: Snapshots) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.0.listener.accept() => match accepted {
                    Ok((client, _)) if clients.len() < MAX_CLIENTS => {
                        clients.spawn(feed(client, snapshots.clone().from_the_last()));
                    }
                    Ok(_) => tracing::warn!(MAX_CLIENTS, "snapshot socket: a client too many is disconnected"),
                    Err(error) => {
                        tracing::warn!(%error, "snapshot socket: a client cannot be accepted");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                },
                Some(_) = clients.join_next() => (),
                next = snapshots.next() => if next.is_none() { return },
            }
        }
    }
}

/// Sends snapshots to a client until it leaves. Whatever it sends is its leave.
async fn feed(client: UnixStream, mut snapshots: Snapshots) {
    let (mut from_client, mut to_client) = client.into_split();
    let mut byte = [0];
    loop {
        tokio::select! {
            _ = from_client.read(&mut byte) => return,
            next = snapshots.next() => {
                let Some(snapshot) = next else { return };
                let line = json_line(&snapshot);
                let sent = tokio::time::timeout(WRITE_WITHIN, to_client.write_all(line.as_bytes())).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader, Lines};
    use tokio::net::unix::OwnedReadHalf;

    use super::*;
    use crate::batch::fixtures;
    use crate::output::Publisher;

    type Client = (Lines<BufReader<OwnedReadHalf>>, tokio::net::unix::OwnedWriteHalf);

    async fn serving(path: &Path, publisher: &Publisher) -> JoinSet<()> {
        let mut serving = JoinSet::new();
        serving.spawn(SnapshotSocket::bind(path).await.unwrap().serve(publisher.subscribe()));
        serving
    }

    async fn client(path: &Path) -> Client {
        let (lines, writer) = UnixStream::connect(path).await.unwrap().into_split();
        (BufReader::new(lines).lines(), writer)
    }

    async fn batch_of(client: &mut Client) -> Option<String> {
        let line = client.0.next_line().await.unwrap()?;
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        Some(document["batch"].as_str().unwrap().to_owned())
    }

    fn batch(id: u128) -> crate::batch::Batch {
        crate::batch::Batch { id: crate::batch::BatchId(uuid::Uuid::from_u128(id)), ..fixtures::fleet() }
    }

    #[tokio::test]
    async fn clients_get_the_last_snapshot_at_once_and_each_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let publisher = Publisher::new();
        publisher.publish(batch(1).into());
        let serving = serving(&path, &publisher).await;
        let (mut first, mut second) = (client(&path).await, client(&path).await);
        let id = |id: u128| Some(batch(id).id.to_string());
        assert_eq!((batch_of(&mut first).await, batch_of(&mut second).await), (id(1), id(1)));
        publisher.publish(batch(2).into());
        assert_eq!((batch_of(&mut first).await, batch_of(&mut second).await), (id(2), id(2)));
        drop(publisher);
        serving.join_all().await;
        assert_eq!((batch_of(&mut first).await, path.exists()), (None, false));
    }

    #[tokio::test]
    async fn one_client_too_many_is_disconnected_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let publisher = Publisher::new();
        publisher.publish(batch(1).into());
        let _serving = serving(&path, &publisher).await;
        let mut clients = Vec::new();
        for _ in 0..MAX_CLIENTS {
            let mut client = client(&path).await;
            assert!(batch_of(&mut client).await.is_some());
            clients.push(client);
        }
        assert_eq!(batch_of(&mut client(&path).await).await, None);
        publisher.publish(batch(2).into());
        assert!(batch_of(&mut clients[0]).await.is_some());
    }
}
