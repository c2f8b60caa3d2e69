//! Users as they were read last, between the use cases and the repository: one query per missing user, however many
//! ask for it, and nothing older than the last write.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowgate::{ConcurrentMap, InvalidMap, LoadError, LoadSource};
use uuid::Uuid;

use crate::domain::User;
use crate::error::{AppError, Code};
use crate::metrics::Figure;
use crate::repository::UserRepository;

/// How long after a write of which nobody knows whether it took place its user is read from the database alone.
/// Longer than any query takes: by then it has taken place, or never will.
const DOUBT: Duration = Duration::from_secs(15);

/// The cache's size, and how long it believes what it has read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Users that are kept, at most. Others are read from the database each time.
    pub max_entries: usize,
    /// How long a user is kept.
    pub ttl: Duration,
}

/// Where a user came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the cache.
    Hit,
    /// From the database.
    Miss,
}

/// A read-through cache of users over a repository. A clone is the same cache.
#[derive(Clone)]
pub struct UserCache {
    repository: Arc<dyn UserRepository>,
    entries: ConcurrentMap<Uuid, Entry>,
    hits: Arc<AtomicU64>,
    misses: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Entry {
    User(Arc<User>),
    /// A write may be under way still: the database alone knows.
    Doubt,
}

/// Why a load brought no user.
#[derive(Debug, thiserror::Error)]
enum Unloaded {
    #[error("there is no such user")]
    Missing,
    #[error(transparent)]
    Failed(Arc<AppError>),
}

impl UserCache {
    /// An empty cache.
    ///
    /// # Errors
    /// When an option is 0.
    pub fn new(repository: Arc<dyn UserRepository>, options: &Options) -> Result<Self, InvalidMap> {
        let entries =
            ConcurrentMap::builder().name("user cache").max_entries(options.max_entries).ttl(options.ttl).build()?;
        Ok(Self { repository, entries, hits: Arc::default(), misses: Arc::default() })
    }

    /// The user of this id, and where it came from; `None` when there is none, which is not kept.
    ///
    /// # Errors
    /// Those of the repository. A fault of the cache itself is logged, and the repository is asked.
    ///
    /// # Cancel safety
    /// Reads only: safe. A query ends with the last who waits for it.
    pub async fn get(&self, id: Uuid) -> Result<(Option<Arc<User>>, Source), AppError> {
        let repository = Arc::clone(&self.repository);
        let load = || async move {
            let user = repository.get(id).await.map_err(|error| Unloaded::Failed(Arc::new(error)))?;
            user.map(|user| Entry::User(Arc::new(user))).ok_or(Unloaded::Missing)
        };
        let (user, source) = match self.entries.get_or_try_load(id, load).await {
            Ok(loaded) => match loaded.value {
                Entry::User(user) if loaded.source == LoadSource::Hit => (Some(user), Source::Hit),
                Entry::User(user) => (Some(user), Source::Miss),
                Entry::Doubt => (self.repository.get(id).await?.map(Arc::new), Source::Miss),
            },
            Err(LoadError::Failed(unloaded)) => match &*unloaded {
                Unloaded::Missing => (None, Source::Miss),
                Unloaded::Failed(error) => return Err(AppError::shared(error)),
            },
            Err(fault) => {
                tracing::error!("the cache failed, asking the database: {fault}");
                (self.repository.get(id).await?.map(Arc::new), Source::Miss)
            }
        };
        let count = if source == Source::Hit { &self.hits } else { &self.misses };
        // Ordering: Relaxed, a count that nothing else hangs on.
        count.fetch_add(1, Ordering::Relaxed);
        Ok((user, source))
    }

    /// Makes a write to the user of this id, which is then forgotten: who asks after the write's end reads what it has
    /// left, and a load that it has overtaken is not kept. A write that was dropped, or failed for another reason
    /// than its content, may take place all the same, and later: for 15 s its user is read from the database alone.
    ///
    /// # Errors
    /// Those of the write.
    ///
    /// # Cancel safety
    /// That of the write.
    pub async fn write<T>(&self, id: Uuid, write: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
        let mut unsure = Unsure { entries: &self.entries, id: Some(id) };
        let written = write.await;
        let is_certain = match &written {
            Ok(_) => true,
            Err(error) => matches!(error.code(), Code::InvalidInput | Code::NotFound | Code::Conflict),
        };
        if is_certain {
            unsure.id = None;
            self.entries.remove(&id);
        }
        written
    }

    /// What the cache counts about itself.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        // Ordering: Relaxed, as where they are counted.
        let (hits, misses) = (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed));
        vec![
            Figure::counter("user_cache_hits_total", "Users that were read from the cache.", hits),
            Figure::counter("user_cache_misses_total", "Users that were not in the cache.", misses),
            Figure::gauge("user_cache_entries", "Users in the cache.", self.entries.len()),
        ]
    }
}

impl fmt::Debug for UserCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCache").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

/// A write of which nobody knows how it ended, until it has.
struct Unsure<'a> {
    entries: &'a ConcurrentMap<Uuid, Entry>,
    id: Option<Uuid>,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.entries.insert_with_ttl(id, Entry::Doubt, DOUBT);
        }
    }
}
