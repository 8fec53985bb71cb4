#!/bin/sh
# Cargo starts the compiler for this workspace's packages through this script, so that
# only they get counters. Without the threshold, llvm-cov finds no map of small functions
# that were inlined into another package.
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "*) exec "$@" ;;
*" --target wasm32-unknown-unknown "*)
    # For wasm32 no run-time library writes the counters. The reader of the counters finds them in
    # memory, between the start and the end of their sections, which are exported for that. The
    # linker must keep functions that nothing calls, because it then keeps their map of lines.
    set -- "$@" -Zno-profiler-runtime -Clink-arg=--no-gc-sections \
        -Clink-arg=--unresolved-symbols=ignore-all
    for section in data cnts names; do
        set -- "$@" -Clink-arg=--export=__start___llvm_prf_$section \
            -Clink-arg=--export=__stop___llvm_prf_$section
    done
    ;;
esac
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcross-crate-inline-threshold=never
