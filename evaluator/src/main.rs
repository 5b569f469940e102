//! The program `poq-evaluator`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    poq_evaluator::main()
}
