//! The methods of `user.v1.UserService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures_util::Stream;
use prost_types::Timestamp;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::chat::Room;
use super::pump::pump;
use crate::domain::{self, Invalid};
use crate::error::AppError;
use crate::proto::user_service_server::UserService;
use crate::proto::{ChatEvent, ChatRequest, GetUserRequest, ListUsersRequest, User};
use crate::users::Users;

#[derive(Debug)]
pub(super) struct Service {
    pub(super) users: Users,
    pub(super) room: Arc<Room>,
    /// How long a client may take to take a piece of the answer.
    pub(super) stall: Duration,
}

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl UserService for Service {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let id = Uuid::try_parse(&request.get_ref().id);
        let id = id.map_err(|_| AppError::from(Invalid::one("id", "must be a UUID")))?;
        let (user, _) = self.users.get(id).await?;
        Ok(Response::new(domain::User::clone(&user).into()))
    }

    type ListUsersStream = Answer<User>;

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<Self::ListUsersStream>, Status> {
        let ListUsersRequest { limit, offset } = request.into_inner();
        if limit == Some(0) {
            return Err(AppError::from(Invalid::one("limit", "must be 1 or more")).into());
        }
        let users = pump(self.users.stream(limit, offset), self.stall);
        Ok(Response::new(Box::pin(futures_util::TryStreamExt::map_ok(users, User::from))))
    }

    type ChatStreamStream = Answer<ChatEvent>;

    async fn chat_stream(
        &self,
        request: Request<Streaming<ChatRequest>>,
    ) -> Result<Response<Self::ChatStreamStream>, Status> {
        Ok(Response::new(Box::pin(Arc::clone(&self.room).join(request.into_inner()))))
    }
}

impl From<domain::User> for User {
    fn from(domain::User { id, name, email, created_at, updated_at }: domain::User) -> Self {
        let (created_at, updated_at) = (Some(timestamp(created_at)), Some(timestamp(updated_at)));
        Self { id: id.to_string(), name, email, created_at, updated_at }
    }
}

pub(super) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    SystemTime::from(at).into()
}
