//! The command line of `ratios`.

use flowgate_benches::args::{Args, ArgsError};
use flowgate_benches::cases;

fn parse(line: &str) -> Result<Args, ArgsError> {
    Args::parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn cargo_appends_bench_after_the_users_own_arguments() {
    let args = parse("--quick --json pool --bench").unwrap();
    let wanted = Args { bench: true, quick: true, json: true, filters: vec!["pool".into()], ..Args::default() };
    assert_eq!(args, wanted);
}

#[test]
fn nothing_asks_for_all_cases_on_two_workers() {
    let args = parse("").unwrap();
    assert_eq!(args.worker_threads(), 2);
    assert_eq!(args.select(cases()).len(), cases().len());
}

#[test]
fn numbers_follow_their_options() {
    let args = parse("--workers 4 --rounds 21 --only flowgate").unwrap();
    assert_eq!((args.worker_threads(), args.rounds, args.only.as_deref()), (4, Some(21), Some("flowgate")));
}

#[test]
fn what_is_not_understood_is_refused() {
    assert_eq!(parse("--fast"), Err(ArgsError::Unknown("--fast".into())));
    assert_eq!(parse("--workers"), Err(ArgsError::Missing("--workers")));
    for value in ["none", "0", "-1"] {
        let refused = ArgsError::NotANumber { option: "--rounds", value: value.into() };
        assert_eq!(parse(&format!("--rounds {value}")), Err(refused));
    }
}

#[test]
fn several_filters_select_what_any_of_them_names() {
    let names: Vec<_> =
        parse("trivial/p1 roundtrip").unwrap().select(cases()).into_iter().map(|case| case.name).collect();
    assert_eq!(names, ["pool/trivial/p1", "pool/roundtrip/p1"]);
}

#[test]
fn one_contender_can_be_singled_out() {
    let selected = parse("--only kanal+oneshot pool/full pool/features").unwrap().select(cases());
    assert_eq!(selected.len(), 1, "a case without that contender is left out");
    let names: Vec<_> = selected[0].contenders.iter().map(|contender| contender.name).collect();
    assert_eq!(names, ["kanal+oneshot"]);
}
