//! The room that `ChatStream` opens: whatever one participant says, all others hear.
//!
//! Many speak into one bounded ring, from which each participant reads at its own pace. Nobody waits for a slow one:
//! it misses what the ring no longer holds, is told how much, and goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_stream::try_stream;
use chrono::Utc;
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tonic::{Status, Streaming};
use tracing::Instrument;
use uuid::Uuid;

use super::pump::ended;
use super::users::timestamp;
use crate::domain::Invalid;
use crate::error::AppError;
use crate::metrics::Figure;
use crate::proto::chat_event::Event;
use crate::proto::{ChatEvent, ChatRequest, Joined, Lagged, Said};

/// So far may a participant lag behind before it misses something.
const RING: usize = 256;
/// Bytes in what is said at once, at most.
const MAX_TEXT: usize = 4096;

/// The participants, and what they have said last.
#[derive(Debug)]
pub struct Room {
    said: Sender<Arc<Said>>,
    participants: AtomicUsize,
    missed: AtomicU64,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let (said, _) = broadcast::channel(RING);
        Arc::new(Self { said, participants: AtomicUsize::new(0), missed: AtomicU64::new(0) })
    }

    /// Opens the room to a participant: what it sends goes through `check` and is heard by the others, what they say
    /// comes out. It leaves when it ends its side, breaks a rule, or drops the stream.
    pub(super) fn join(
        self: Arc<Self>,
        speech: Streaming<ChatRequest>,
    ) -> impl Stream<Item = Result<ChatEvent, Status>> + Send + 'static {
        let participant = Uuid::now_v7().to_string();
        let mut ear = self.said.subscribe();
        let present = Present::new(Arc::clone(&self));
        let mut mouth = JoinSet::new();
        mouth.spawn(Arc::clone(&self).speak(participant.clone(), speech).in_current_span());
        try_stream! {
            let _present = present;
            yield event(Event::Joined(Joined { participant: participant.clone() }));
            while let Some(heard) = listen(&mut ear, &mut mouth).await? {
                match heard {
                    Ok(said) if said.participant == participant => {}
                    Ok(said) => yield event(Event::Said(Said::clone(&said))),
                    Err(missed) => {
                        // Ordering: Relaxed, a count that nothing else hangs on.
                        self.missed.fetch_add(missed, Ordering::Relaxed);
                        yield event(Event::Lagged(Lagged { missed }));
                    }
                }
            }
        }
    }

    /// Tells the others all that one participant says, up to its end.
    async fn speak(self: Arc<Self>, participant: String, mut speech: Streaming<ChatRequest>) -> Result<(), Status> {
        while let Some(request) = speech.message().await? {
            let said =
                Said { participant: participant.clone(), text: check(request)?, at: Some(timestamp(Utc::now())) };
            // An error means that nobody hears, not even the one who speaks: its stream is gone, and so will be this task.
            let _ = self.said.send(Arc::new(said));
        }
        Ok(())
    }

    /// What the room counts about itself.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        // Ordering: Relaxed, as where they are counted.
        let (participants, missed) = (self.participants.load(Ordering::Relaxed), self.missed.load(Ordering::Relaxed));
        vec![
            Figure::gauge("chat_participants", "Participants in the chat room.", participants),
            Figure::counter("chat_missed_total", "Messages that slow participants of the chat have missed.", missed),
        ]
    }
}

/// The next that was said, or how much of it was missed; `None` when the participant has left.
async fn listen(
    ear: &mut Receiver<Arc<Said>>,
    mouth: &mut JoinSet<Result<(), Status>>,
) -> Result<Option<Result<Arc<Said>, u64>>, Status> {
    tokio::select! {
        // In this order, so that who leaves has heard what was said before.
        biased;
        heard = ear.recv() => match heard {
            Ok(said) => Ok(Some(Ok(said))),
            Err(RecvError::Lagged(missed)) => Ok(Some(Err(missed))),
            // Not while a participant holds the room.
            Err(RecvError::Closed) => Ok(None),
        },
        left = mouth.join_next() => ended(left).map(|()| None),
    }
}

/// What may be said.
fn check(ChatRequest { text }: ChatRequest) -> Result<String, AppError> {
    if text.trim().is_empty() {
        Err(Invalid::one("text", "must not be empty").into())
    } else if text.len() > MAX_TEXT {
        Err(Invalid::one("text", "must have at most 4096 bytes").into())
    } else {
        Ok(text)
    }
}

const fn event(event: Event) -> ChatEvent {
    ChatEvent { event: Some(event) }
}

/// A participant, until it leaves.
struct Present(Arc<Room>);

impl Present {
    fn new(room: Arc<Room>) -> Self {
        room.participants.fetch_add(1, Ordering::Relaxed);
        Self(room)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.participants.fetch_sub(1, Ordering::Relaxed);
    }
}
