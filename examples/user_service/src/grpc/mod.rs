//! gRPC: the service `user.v1.UserService`, health and reflection, and the server that drives them.

mod chat;
mod error;
mod layer;
mod pump;
mod server;
mod users;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

pub use self::chat::Room;
pub(crate) use self::server::GrpcServer;
use crate::metrics::Metrics;
use crate::middleware::auth::Tokens;
use crate::middleware::rate_limit::RateLimit;
use crate::proto;
use crate::proto::user_service_server::{SERVICE_NAME, UserServiceServer};
use crate::users::Users;

/// Bytes in a message, at most.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// The server's address and limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// Open connections at most.
    pub max_connections: usize,
    /// How long a call may take up to the head of its answer; for a unary call, that is all of it.
    pub head_timeout: Duration,
    /// How long a client may take to take a piece of the answer.
    pub write_timeout: Duration,
    /// How many proxies of our own stand before the service and append to `X-Forwarded-For`; with 0 it is not read.
    pub proxies: usize,
}

/// What the calls share.
#[derive(Clone, Debug)]
pub(crate) struct GrpcState {
    pub(crate) users: Users,
    pub(crate) room: Arc<Room>,
    pub(crate) metrics: Metrics,
    pub(crate) tokens: Tokens,
    pub(crate) rate_limit: RateLimit,
}

/// Why the routes cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the descriptors of the gRPC services cannot be read")]
pub struct BadDescriptors(#[source] Box<dyn std::error::Error + Send + Sync>);

/// All services, with the layers around them, and what tells clients whether they are served.
fn routes(
    state: GrpcState,
    options: &Options,
    phase: server::PhaseWatch,
) -> Result<(Router, HealthReporter), BadDescriptors> {
    let health = HealthReporter::new();
    let services = [
        proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let methods = methods(&services).map_err(|error| BadDescriptors(error.into()))?;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let users =
        users::Service { users: state.users.clone(), room: Arc::clone(&state.room), stall: options.write_timeout };
    let routes = Routes::new(UserServiceServer::new(users).max_decoding_message_size(MAX_MESSAGE))
        .add_service(tonic_health::pb::health_server::HealthServer::new(HealthService::from_health_reporter(
            health.clone(),
        )))
        .add_service(reflection().build_v1().map_err(|error| BadDescriptors(error.into()))?)
        .add_service(reflection().build_v1alpha().map_err(|error| BadDescriptors(error.into()))?);
    let shared = layer::Shared::new(state, methods, options, phase);
    Ok((layer::wrap(routes.into_axum_router(), shared), health))
}

/// Tells all who ask or watch whether the service is served.
async fn set_serving(health: &HealthReporter, status: ServingStatus) {
    for service in ["", SERVICE_NAME] {
        health.set_service_status(service, status).await;
    }
}

/// The paths of all methods.
fn methods(services: &[&[u8]]) -> Result<HashSet<String>, DecodeError> {
    let mut methods = HashSet::new();
    for service in services {
        for file in FileDescriptorSet::decode(*service)?.file {
            for service in &file.service {
                let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                methods.extend(service.method.iter().map(|method| path(method.name())));
            }
        }
    }
    Ok(methods)
}
