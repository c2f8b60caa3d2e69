//! What threads cannot promise is refused when the pool is built, and so is what only they have.

use flowgate::{Attempt, BuildError, WorkerPoolBuilder};

use super::options;
use crate::support::{ms, one_thread};

fn refusal(options: WorkerPoolBuilder<u32, u32, ()>) -> String {
    options.build_blocking(|job, _| Ok(*job)).unwrap_err().to_string()
}

#[test]
fn an_attempt_timeout_is_refused() {
    let said = refusal(options(1, 1).attempt_timeout(ms(5)));
    assert!(said.starts_with("pool option `attempt_timeout` is 5ms; allowed: not set"), "{said}");
}

#[test]
fn the_bounds_are_those_of_every_pool() {
    assert!(refusal(options(0, 1)).starts_with("pool option `concurrency` is 0"));
    assert!(refusal(options(1, 1).deadline(ms(0))).starts_with("pool option `deadline` is 0s"));
    assert!(refusal(options(1, 1).thread_name("a\0b")).contains("without a zero byte"));
}

#[test]
fn a_pool_of_tasks_has_no_options_for_threads() {
    one_thread().block_on(async {
        for options in [options(1, 1).thread_name("mine"), options(1, 1).thread_keep_alive(ms(5))] {
            let refused = options.build(|job: Attempt<u32>| async move { Ok::<u32, ()>(*job) }).unwrap_err();
            assert!(matches!(refused, BuildError::Option { .. }));
            assert!(refused.to_string().contains("only with `build_blocking`"), "{refused}");
        }
    });
}

#[test]
fn a_thread_has_the_name_that_was_chosen() {
    let named = options::<(), Option<String>, ()>(1, 1)
        .thread_name("resize")
        .build_blocking(|(), _| Ok(std::thread::current().name().map(String::from)))
        .unwrap();
    assert_eq!(named.blocking_run(()).unwrap().as_deref(), Some("resize"));
    let plain = options::<(), Option<String>, ()>(1, 1)
        .build_blocking(|(), _| Ok(std::thread::current().name().map(String::from)))
        .unwrap();
    assert_eq!(plain.blocking_run(()).unwrap().as_deref(), Some("flowgate"));
}

#[test]
fn a_function_and_a_closure_with_state_are_handlers() {
    fn half(job: &mut u32, _: &flowgate::Cx) -> Result<u32, ()> {
        Ok(*job / 2)
    }
    assert_eq!(options(1, 1).build_blocking(half).unwrap().blocking_run(8).unwrap(), 4);
    let factor = String::from("abc");
    let pool = options(1, 1).build_blocking(move |job: &mut usize, _| Ok::<_, ()>(*job * factor.len())).unwrap();
    assert_eq!(pool.blocking_run(2).unwrap(), 6);
}
