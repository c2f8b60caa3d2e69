//! The routes under `/api/v1/users`.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::AppState;
use super::error::ApiError;
use super::import::import;
use super::json::JsonObject;
use crate::cache::Source;
use crate::domain::{Invalid, NewUser, Page, User, UserChange};
use crate::error::AppError;

/// Whether the user came from the cache: `HIT` or `MISS`.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// Users in a page when the request does not say.
const DEFAULT_LIMIT: u32 = 20;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(list).post(create))
        .route("/import", post(import))
        .route("/{id}", get(read).patch(change).delete(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    name: String,
    email: String,
}

/// A field that is left out stays as it is; `null` is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    email: Option<String>,
}

fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

#[derive(Serialize)]
struct UserBody {
    id: Uuid,
    name: String,
    email: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<User> for UserBody {
    fn from(User { id, name, email, created_at, updated_at }: User) -> Self {
        Self { id, name, email, created_at, updated_at }
    }
}

/// The values as text, so that a refusal can name the one that is wrong.
#[derive(Deserialize)]
struct ListParams {
    limit: Option<String>,
    offset: Option<String>,
}

#[derive(Serialize)]
struct ListBody {
    users: Vec<UserBody>,
    limit: u32,
    offset: u32,
}

async fn create(
    State(state): State<AppState>,
    JsonObject(input): JsonObject<CreateUser>,
) -> Result<Response, ApiError> {
    let new = NewUser::new(&input.name, &input.email).map_err(AppError::from)?;
    let user = state.users.create(new).await?;
    let location = format!("/api/v1/users/{}", user.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(UserBody::from(user))).into_response())
}

async fn read(State(state): State<AppState>, id: Result<Path<Uuid>, PathRejection>) -> Result<Response, ApiError> {
    let (user, source) = state.users.get(uuid(id)?).await?;
    let source = if source == Source::Hit { "HIT" } else { "MISS" };
    Ok(([(X_CACHE, source)], Json(UserBody::from(User::clone(&user)))).into_response())
}

async fn change(
    State(state): State<AppState>,
    id: Result<Path<Uuid>, PathRejection>,
    JsonObject(input): JsonObject<ChangeUser>,
) -> Result<Json<UserBody>, ApiError> {
    let change = UserChange::new(input.name.as_deref(), input.email.as_deref()).map_err(AppError::from)?;
    Ok(Json(state.users.update(uuid(id)?, &change).await?.into()))
}

async fn remove(State(state): State<AppState>, id: Result<Path<Uuid>, PathRejection>) -> Result<StatusCode, ApiError> {
    state.users.delete(uuid(id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn uuid(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, ApiError> {
    id.map(|Path(id)| id).map_err(|_| ApiError::invalid("id: must be a UUID"))
}

async fn list(
    State(state): State<AppState>,
    params: Result<Query<ListParams>, QueryRejection>,
) -> Result<Json<ListBody>, ApiError> {
    let Query(params) = params.map_err(|_| ApiError::invalid("query: must give limit and offset at most once each"))?;
    let page = page(&params).map_err(AppError::from)?;
    let users = state.users.list(page).await?.into_iter().map(UserBody::from).collect();
    Ok(Json(ListBody { users, limit: page.limit(), offset: page.offset() }))
}

fn page(params: &ListParams) -> Result<Page, Invalid> {
    let limit = match &params.limit {
        Some(text) => text.parse().map_err(|_| Invalid::one("limit", "must be a whole number from 1 to 100"))?,
        None => DEFAULT_LIMIT,
    };
    let offset = match &params.offset {
        Some(text) => {
            text.parse().map_err(|_| Invalid::one("offset", "must be a whole number from 0 to 4294967295"))?
        }
        None => 0,
    };
    Page::new(limit, offset)
}
