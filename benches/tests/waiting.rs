//! Standing in line costs the same however long the line is.

use flowgate_benches::cases;
use flowgate_benches::harness::run_once;

// Seen to fail: with `most` at a tenth of what it is here, so the figures are really compared.
#[test]
fn the_time_of_an_admission_does_not_grow_with_the_line() {
    let case = cases().into_iter().find(|case| case.name == "pool/waiting-100k/p1").unwrap();
    let quickest = |submitters| {
        let costs = (0..5).map(|_| run_once(&case, &case.contenders[0], submitters, 2).cpu_ns);
        costs.fold(f64::INFINITY, f64::min)
    };
    let (short, long) = (quickest(1_000), quickest(50_000));
    println!("CPU of an admission: {short:.0} ns behind 1,000 others, {long:.0} ns behind 50,000");
    // A line that is searched would take fifty times as long.
    let most = 8.0 * short;
    assert!(long <= most, "{long} ns and {short} ns");
}
