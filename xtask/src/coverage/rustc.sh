#!/bin/sh
# Cargo starts the compiler for this workspace's packages through this script, so that
# only they get counters. Without the threshold, llvm-cov finds no map of small functions
# that were inlined into another package.
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "*) exec "$@" ;;
*" --target wasm32-unknown-unknown "*)
    # No run-time library writes the counters there. Whoever asks reads them in memory,
    # between the ends of their sections, which are exported for that. The linker must
    # keep the names of functions that nothing calls, because it keeps their map.
    set -- "$@" -Zno-profiler-runtime -Clink-arg=--no-gc-sections \
        -Clink-arg=--unresolved-symbols=ignore-all
    for section in data cnts names; do
        set -- "$@" -Clink-arg=--export=__start___llvm_prf_$section \
            -Clink-arg=--export=__stop___llvm_prf_$section
    done
    ;;
esac
RUSTC_BOOTSTRAP=1 exec "$@" -Cinstrument-coverage -Zcross-crate-inline-threshold=never
