//! What the core costs: for each request and each answer its time, its allocations and their bytes.
//!
//! `cargo bench --bench translate` measures, then prints the table; words behind `--` choose benches by
//! their names. `cargo test --benches` goes once through everything, and checks what is measured.
//!
//! A request is measured as the session takes it: header, walk, decode, admit, encode. An answer the
//! same way back: header, walk, decode, reveal, encode.

// The core is handed the time; a bench looks at the clock itself.
#![allow(clippy::disallowed_methods)]

mod allocations; // an allocator that counts
mod dialogues; // requests of a client, and a broker's answers
mod tokens; // logins
mod world; // one client of a virtual cluster

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use sluicegate::policy::{Operation, Resource};

use dialogues::Dialogue;
use tokens::Login;
use world::World;

fn main() {
    let world = World::new();
    let dialogues = dialogues::all();
    let logins = [Login::rs256(), Login::es256()];
    for dialogue in &dialogues {
        dialogue.check(&world);
    }
    for (smaller, larger) in dialogues.iter().zip(&dialogues[1..]) {
        check_payload_is_shared(&world, smaller, larger);
    }
    logins.iter().for_each(Login::check);

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .without_plots()
        .configure_from_args();
    for dialogue in &dialogues {
        measure_dialogue(&mut criterion, &world, dialogue);
    }
    for login in &logins {
        criterion.bench_function(&format!("login/{}", login.name), |bencher| {
            bencher.iter(|| black_box(login.verify()));
        });
        criterion.bench_function(&format!("login/{}/again", login.name), |bencher| {
            bencher.iter(|| black_box(login.recall()));
        });
        criterion.bench_function(&format!("login/{}/signature alone", login.name), |bencher| {
            bencher.iter(|| black_box(login.check_signature()));
        });
    }
    for (what, name) in DECISIONS {
        criterion.bench_function(&format!("decide/{what}"), |bencher| {
            bencher.iter(|| world.rights.decide(Operation::Read, Resource::Topic, black_box(name)));
        });
    }
    criterion.final_summary();
    if std::env::args().any(|word| word == "--bench") && !std::env::args().any(|word| word == "--test") {
        print_table(&world, &dialogues, &logins);
    }
}

/// No allocation grows with the payload of a Produce or a Fetch.
fn check_payload_is_shared(world: &World, smaller: &Dialogue, larger: &Dialogue) {
    if smaller.api != larger.api || smaller.api == "Metadata" {
        return;
    }
    let [smaller, larger] = [smaller, larger]
        .map(|dialogue| allocations::during(|| drop(dialogue.reveal(world, dialogue.pending(world)))));
    assert_eq!(smaller, larger, "allocations and their bytes, for two sizes of a payload");
}

fn measure_dialogue(criterion: &mut Criterion, world: &World, dialogue: &Dialogue) {
    let Dialogue { api, payload, .. } = dialogue;
    criterion.bench_function(&format!("{api}/{payload}/request"), |bencher| {
        bencher.iter_with_large_drop(|| dialogue.admit(world));
    });
    criterion.bench_function(&format!("{api}/{payload}/answer"), |bencher| {
        let admitted = || dialogue.pending(world);
        bencher.iter_batched(admitted, |pending| dialogue.reveal(world, pending), BatchSize::SmallInput);
    });
}

/// How a name is found in the rules: by itself, by a pattern, or not at all.
const DECISIONS: [(&str, &str); 3] =
    [("by its name", "orders"), ("by a pattern", "team-payments"), ("by no rule", "unknown")];

fn print_table(world: &World, dialogues: &[Dialogue], logins: &[Login]) {
    println!("\n{:<10} {:<28} {:>9} {:>12} {:>12}", "API", "payload", "ns", "allocations", "bytes");
    for dialogue in dialogues {
        let Dialogue { api, payload, .. } = dialogue;
        print_row(api, &format!("{payload}, request"), || (), |()| drop(dialogue.admit(world)));
        let admitted = || dialogue.pending(world);
        print_row(api, &format!("{payload}, answer"), admitted, |pending| {
            drop(dialogue.reveal(world, pending));
        });
    }
    for login in logins {
        print_row("login", login.name, || (), |()| drop(black_box(login.verify())));
        print_row("login", &format!("{} again", login.name), || (), |()| drop(black_box(login.recall())));
        let check = |()| assert!(black_box(login.check_signature()));
        print_row("login", &format!("{} signature alone", login.name), || (), check);
    }
    for (what, name) in DECISIONS {
        let decide = |()| drop(world.rights.decide(Operation::Read, Resource::Topic, black_box(name)));
        print_row("decide", what, || (), decide);
    }
}

/// One line: the time of the fastest of many runs, since a busy machine only ever adds to it.
fn print_row<T>(api: &str, what: &str, set_up: impl Fn() -> T, run: impl Fn(T)) {
    const RUNS: u32 = 200;
    const CALLS: usize = 32;
    let fastest = (0..RUNS)
        .map(|_| {
            let inputs: Vec<T> = (0..CALLS).map(|_| set_up()).collect();
            let began = Instant::now();
            inputs.into_iter().for_each(&run);
            began.elapsed()
        })
        .min();
    let input = set_up();
    let (count, bytes) = allocations::during(|| run(input));
    let ns = fastest.unwrap_or_default().as_nanos() as usize / CALLS;
    println!("{api:<10} {what:<28} {ns:>9} {count:>12} {bytes:>12}");
}
