//! The user service's executable: configuration, signals, exit code.

use std::error::Error;
use std::process::ExitCode;

use user_service::{Config, Service, Signals, chain, init_log};

/// 0: everything was accounted for. 1: it could not start, or something was cut off. 2: bad configuration.
#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::load() {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(2);
        }
    };
    init_log(config.log.clone());
    match serve(config).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("cannot start: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Serves until the first signal has been heeded; whether everything was accounted for.
async fn serve(config: Config) -> Result<bool, Box<dyn Error>> {
    let (first_signal, watch) = Signals::install()?.watch();
    let service = Service::start(config).await?;
    tokio::select! {
        outcome = service.run(first_signal) => Ok(outcome.is_clean()),
        second = watch => match second {},
    }
}
