use poq_lab::episode::*;
use poq_lab::strategy::*;
use poq_lab::world::STANDARD;
fn main() {
    let n = 2000;
    let mut setting = Setting::new(n);
    setting.batch = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(100);
    let cast = Cast {
        evaluators: (0..12).map(|i| EvaluatorRole{strategy: if i == 0 {Evaluator::PriorMean} else {Evaluator::Honest}, stake: 100_000_000, studied: i==0}).collect(),
        inference: (0..3).map(|_| InferenceRole{strategy: Inference::Honest(STANDARD), stake: 100_000_000, studied: false, accomplice: false}).collect(),
    };
    let start = std::time::Instant::now();
    let e = run(&setting, &cast, 1).unwrap();
    let s = start.elapsed().as_secs_f64();
    println!("{} tasks/s, {} blocks, moved {} refunded {}", n as f64 / s, e.blocks, e.moved(50_000), e.refunded());
    for a in &e.actors { println!("{a:?}"); }
}
